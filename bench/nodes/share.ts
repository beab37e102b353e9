import { existsSync, mkdirSync, rmdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const periodUs = 20_000;

/**
 * Limits a process to a share of a core with Linux control groups (version 1 or 2), so that several processes fit on a machine
 * with few cores.
 *
 * @returns a function that removes the limit after the process has exited.
 * @throws without the permission to do so.
 */
export function limitShare(pid: number, share: number): () => void {
  const quotaUs = Math.round(periodUs * share);
  const isVersion1 = existsSync("/sys/fs/cgroup/cpu");
  const group = join(isVersion1 ? "/sys/fs/cgroup/cpu" : "/sys/fs/cgroup", `countersign-bench-${pid}`);
  mkdirSync(group);
  if (isVersion1) {
    writeFileSync(join(group, "cpu.cfs_period_us"), String(periodUs));
    writeFileSync(join(group, "cpu.cfs_quota_us"), String(quotaUs));
  } else {
    writeFileSync(join(group, "cpu.max"), `${quotaUs} ${periodUs}`);
  }
  writeFileSync(join(group, "cgroup.procs"), String(pid));
  return () => rmdirSync(group);
}

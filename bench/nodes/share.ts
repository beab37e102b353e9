import { existsSync, mkdirSync, rmdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const periodUs = 20_000;

/**
 * Gives a process no more than a share of a core (control groups of Linux, version 1 or 2), so that several have room on a
 * machine with few cores, and none takes what another one leaves.
 *
 * @returns what takes the limit away, once the process has ended.
 * @throws where that is not allowed.
 */
export function limitShare(pid: number, share: number): () => void {
  const quotaUs = Math.round(periodUs * share);
  const isFirst = existsSync("/sys/fs/cgroup/cpu");
  const group = join(isFirst ? "/sys/fs/cgroup/cpu" : "/sys/fs/cgroup", `countersign-bench-${pid}`);
  mkdirSync(group);
  if (isFirst) {
    writeFileSync(join(group, "cpu.cfs_period_us"), String(periodUs));
    writeFileSync(join(group, "cpu.cfs_quota_us"), String(quotaUs));
  } else {
    writeFileSync(join(group, "cpu.max"), `${quotaUs} ${periodUs}`);
  }
  writeFileSync(join(group, "cgroup.procs"), String(pid));
  return () => rmdirSync(group);
}

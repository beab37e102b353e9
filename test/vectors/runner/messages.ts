import { execFileSync } from "node:child_process";
import { copyFileSync, cpSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fromBinary } from "@bufbuild/protobuf";
import { type FileDescriptorSet, FileDescriptorSetSchema } from "@bufbuild/protobuf/wkt";

/** The messages of the vectors in test/vectors. Its buf.yaml says how to build the file. */
export function ownMessages(root: string): FileDescriptorSet {
  return fromBinary(FileDescriptorSetSchema, readFileSync(join(root, "test/vectors/vectors.binpb")));
}

/** The messages of a vector file: those of vectors.proto in its folder, or else those of test/vectors. */
export function messagesFor(path: string, root: string): FileDescriptorSet {
  const proto = join(dirname(path), "vectors.proto");
  return existsSync(proto) ? compile(proto, root) : ownMessages(root);
}

/** Compiles a proto file with buf. Imports from google come from npm, so no network is needed. */
function compile(proto: string, root: string): FileDescriptorSet {
  const folder = mkdtempSync(join(tmpdir(), "countersign-vectors-"));
  try {
    copyFileSync(proto, join(folder, "vectors.proto"));
    writeFileSync(join(folder, "buf.yaml"), "version: v2\n");
    for (const part of ["api", "longrunning", "rpc", "type"])
      cpSync(join(root, "node_modules/google-proto-files/google", part), join(folder, "google", part), {
        recursive: true,
      });
    const options = ["--path", "vectors.proto", "--as-file-descriptor-set", "--exclude-source-info"];
    const bytes = execFileSync(
      join(root, "node_modules/.bin/buf"),
      ["build", ...options, "-o", "-#format=binpb"],
      {
        cwd: folder,
        maxBuffer: 64 << 20,
        stdio: ["ignore", "pipe", "pipe"],
      },
    );
    return fromBinary(FileDescriptorSetSchema, bytes);
  } catch (error) {
    const problem = (error as { stderr?: Buffer }).stderr?.toString().trim() || (error as Error).message;
    throw new Error(`${proto}: ${problem}`, { cause: error });
  } finally {
    rmSync(folder, { recursive: true });
  }
}

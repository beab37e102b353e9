import type { DescService } from "@bufbuild/protobuf";
import type { ServiceImpl } from "@connectrpc/connect";

export interface BoundService {
  readonly service: DescService;
  readonly implementation: Partial<ServiceImpl<DescService>>;
}

/** Binds a service to its implementation. Methods that are left out answer UNIMPLEMENTED. */
export function bind<S extends DescService>(
  service: S,
  implementation: Partial<ServiceImpl<S>>,
): BoundService {
  return { service, implementation: implementation as BoundService["implementation"] };
}

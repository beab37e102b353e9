import type { PathTemplate } from "./path-template.ts";

/** What is found for a request. `segments` are those of the raw path, still encoded, without the verb. */
export type Found<R> =
  | { readonly kind: "match"; readonly route: R; readonly segments: readonly string[] }
  | { readonly kind: "not_found" }
  | { readonly kind: "method_not_allowed"; readonly allow: readonly string[] };

interface Node<R> {
  readonly literals: Map<string, Node<R>>;
  any?: Node<R>;
  rest?: Node<R>;
  /** By verb, then by HTTP method. */
  readonly routes: Map<string, Map<string, R>>;
}

/** Routes by path: a literal before `*` before `**`, segment by segment. */
export class RouteTrie<R> {
  readonly #root: Node<R> = createNode();

  /** @throws Error if a route of the same method and shape is there. */
  add(httpMethod: string, template: PathTemplate, route: R, describe: (route: R) => string): void {
    let node = this.#root;
    for (const segment of template.segments) node = childFor(node, segment);
    const byMethod = node.routes.get(template.verb) ?? new Map<string, R>();
    node.routes.set(template.verb, byMethod);
    const other = byMethod.get(httpMethod);
    if (other !== undefined) throw new Error(`${describe(route)} and ${describe(other)} have the same path`);
    byMethod.set(httpMethod, route);
  }

  /** @param path the raw path of the request: it is split before anything in it is decoded. */
  find(httpMethod: string, path: string): Found<R> {
    if (!path.startsWith("/")) return { kind: "not_found" };
    const segments = path.slice(1).split("/");
    const allow = new Set<string>();
    // A colon begins a verb only where a route has that verb; elsewhere it is part of the segment.
    const found =
      this.#withVerb(segments, httpMethod, allow) ?? search(this.#root, segments, httpMethod, allow);
    if (found) return found;
    return allow.size > 0 ? { kind: "method_not_allowed", allow: [...allow] } : { kind: "not_found" };
  }

  #withVerb(segments: string[], httpMethod: string, allow: Set<string>): Found<R> | undefined {
    const last = segments.at(-1) ?? "";
    const colon = last.lastIndexOf(":");
    if (colon === -1) return undefined;
    const bare = [...segments.slice(0, -1), last.slice(0, colon)];
    return search(this.#root, bare, httpMethod, allow, last.slice(colon + 1));
  }
}

function createNode<R>(): Node<R> {
  return { literals: new Map(), routes: new Map() };
}

/** The node that a segment leads to, made if it is not there. */
function childFor<R>(node: Node<R>, segment: string): Node<R> {
  if (segment === "*") {
    node.any ??= createNode();
    return node.any;
  }
  if (segment === "**") {
    node.rest ??= createNode();
    return node.rest;
  }
  const child = node.literals.get(segment) ?? createNode<R>();
  node.literals.set(segment, child);
  return child;
}

function search<R>(
  root: Node<R>,
  segments: readonly string[],
  httpMethod: string,
  allow: Set<string>,
  verb = "",
): Found<R> | undefined {
  const at = (node: Node<R>, index: number): R | undefined => {
    if (index === segments.length) return routeOf(node) ?? (node.rest && routeOf(node.rest));
    const segment = segments[index] ?? "";
    const literal = node.literals.get(decoded(segment));
    const route = literal && at(literal, index + 1);
    if (route !== undefined) return route;
    const any = segment !== "" && node.any ? at(node.any, index + 1) : undefined;
    return any ?? (node.rest && routeOf(node.rest));
  };
  const routeOf = (node: Node<R>): R | undefined => {
    const byMethod = node.routes.get(verb);
    for (const method of byMethod?.keys() ?? []) allow.add(method);
    return byMethod?.get(httpMethod);
  };
  const route = at(root, 0);
  return route === undefined ? undefined : { kind: "match", route, segments };
}

function decoded(segment: string): string {
  if (!segment.includes("%")) return segment;
  try {
    return decodeURIComponent(segment);
  } catch {
    return segment;
  }
}

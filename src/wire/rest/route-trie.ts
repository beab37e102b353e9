import { literalText, type PathTemplate, percentDecode } from "./path-template.ts";

/** The result of a lookup. `segments` are those of the raw path, still encoded, without the verb. */
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

/** A trie of routes by path segment. For each segment, literals take precedence over `*`, and `*` over `**`. */
export class RouteTrie<R> {
  readonly #root: Node<R> = createNode();
  readonly #all: { readonly httpMethod: string; readonly route: R }[] = [];

  /** All routes in the order they were added. */
  get all(): readonly { readonly httpMethod: string; readonly route: R }[] {
    return this.#all;
  }

  /**
   * @param httpMethod "*" for all methods that have no route of their own.
   * @throws Error if there is a route of the same method and shape.
   */
  add(httpMethod: string, template: PathTemplate, route: R, describe: (route: R) => string): void {
    let node = this.#root;
    for (const segment of template.segments) node = childFor(node, segment);
    const byMethod = node.routes.get(template.verb) ?? new Map<string, R>();
    node.routes.set(template.verb, byMethod);
    const other = byMethod.get(httpMethod);
    if (other !== undefined) throw new Error(`${describe(route)} and ${describe(other)} have the same path`);
    byMethod.set(httpMethod, route);
    this.#all.push({ httpMethod, route });
  }

  /**
   * Finds the route of a request. `allow` is sorted.
   *
   * @param path the raw path of the request without the query. It is split into segments before it is decoded.
   */
  find(httpMethod: string, path: string): Found<R> {
    if (!path.startsWith("/")) return { kind: "not_found" };
    const segments = path.slice(1).split("/");
    const split = withVerb(segments);
    // If any method has a route with this verb, then it's a verb for all methods. Otherwise it's part of the segment.
    const found = split && this.#find(httpMethod, split.segments, split.verb);
    return found ?? this.#find(httpMethod, segments, "") ?? { kind: "not_found" };
  }

  #find(httpMethod: string, segments: readonly string[], verb: string): Found<R> | undefined {
    const allow = new Set<string>();
    for (const node of nodesFor(this.#root, segments)) {
      const byMethod = node.routes.get(verb);
      const route = byMethod?.get(httpMethod) ?? byMethod?.get("*");
      if (route !== undefined) return { kind: "match", route, segments };
      for (const method of byMethod?.keys() ?? []) allow.add(method);
    }
    return allow.size > 0 ? { kind: "method_not_allowed", allow: [...allow].sort() } : undefined;
  }
}

function createNode<R>(): Node<R> {
  return { literals: new Map(), routes: new Map() };
}

/** Returns the child node for a segment of a template. Creates it if needed. */
function childFor<R>(node: Node<R>, segment: string): Node<R> {
  if (segment === "*") {
    node.any ??= createNode();
    return node.any;
  }
  if (segment === "**") {
    node.rest ??= createNode();
    return node.rest;
  }
  const text = literalText(segment);
  const child = node.literals.get(text) ?? createNode<R>();
  node.literals.set(text, child);
  return child;
}

/** Splits off the verb after the last colon of the last segment. Undefined if there is none. */
function withVerb(segments: readonly string[]): { segments: readonly string[]; verb: string } | undefined {
  const last = segments.at(-1) ?? "";
  const colon = last.lastIndexOf(":");
  if (colon === -1) return undefined;
  const verb = percentDecode(last.slice(colon + 1));
  return verb ? { segments: [...segments.slice(0, -1), last.slice(0, colon)], verb } : undefined;
}

/** The nodes that the segments lead to, by precedence. Visits each node at most once, so the trie bounds the work. */
function nodesFor<R>(root: Node<R>, segments: readonly string[]): Node<R>[] {
  // A segment that can't be decoded matches wildcards only. Binding it then fails with a proper error.
  const texts = segments.map(percentDecode);
  // Clients and proxies remove dot segments (RFC 3986 §5.2.4), so they must not be data. Encoded ones neither.
  if (texts.some((text) => text === "." || text === "..")) return [];
  const nodes: Node<R>[] = [];
  const visit = (node: Node<R>, index: number): void => {
    if (index === segments.length) nodes.push(node);
    else {
      const text = texts[index];
      const literal = text === undefined ? undefined : node.literals.get(text);
      if (literal) visit(literal, index + 1);
      if (node.any && text !== "") visit(node.any, index + 1);
    }
    // `**` matches no empty segment, except a single one after a trailing slash.
    if (node.rest && (index === segments.length - 1 || !texts.includes("", index))) nodes.push(node.rest);
  };
  visit(root, 0);
  return nodes;
}

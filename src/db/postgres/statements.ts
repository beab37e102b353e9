/** How many statements are named. The service has fewer; lists of many lengths could make more of them. */
const namedMax = 500;

/**
 * Names statements, so that the server parses and plans each once per connection instead of once per call.
 *
 * @returns a function from the text of a statement to its name, or to undefined if it stays unnamed.
 */
export function createStatementNames(): (text: string) => string | undefined {
  const names = new Map<string, string>();
  return (text) => {
    const known = names.get(text);
    if (known !== undefined || names.size >= namedMax || !/^(select|insert|update|delete|with)\b/.test(text))
      return known;
    const name = `countersign_${names.size}`;
    names.set(text, name);
    return name;
  };
}

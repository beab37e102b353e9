/** A text with `{{name}}` in it, and no other logic than that. */
export interface Template {
  /** The names, each once. */
  readonly variables: readonly string[];
  /**
   * Puts the values in. They are data: what is in them is not looked at again, and `makeSafe` makes each safe for where it
   * comes.
   */
  render(values: Readonly<Record<string, string>>, makeSafe?: (value: string) => string): string;
}

/** @throws TemplateError if there is a `{{` that begins no variable. */
export function parseTemplate(source: string): Template {
  // Texts and names in turn.
  const parts = source.split(/\{\{ *(\w+) *\}\}/);
  const stray = parts.filter((_, index) => index % 2 === 0).find((text) => text.includes("{{"));
  if (stray !== undefined) {
    const shown = stray.slice(stray.indexOf("{{"), stray.indexOf("{{") + 20);
    throw new TemplateError(`has ${JSON.stringify(shown)}: only {{name}} stands for something`);
  }
  const variables = [...new Set(parts.filter((_, index) => index % 2 === 1))];
  return {
    variables,
    render: (values, makeSafe = (value) => value) =>
      parts.map((part, index) => (index % 2 === 0 ? part : makeSafe(valueIn(values, part)))).join(""),
  };
}

/** What is wrong with a template, to be said behind its name. */
export class TemplateError extends Error {}

function valueIn(values: Readonly<Record<string, string>>, name: string): string {
  const value = Object.hasOwn(values, name) ? values[name] : undefined;
  if (value === undefined) throw new Error(`a template has an unknown variable ${name}`);
  return value;
}

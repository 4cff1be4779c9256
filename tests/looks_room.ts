/**
 * A directory whose files tests change under a look.
 *
 * @module
 */

/** A directory for one test. */
export class Room implements Disposable {
  /** No symbolic link is in it. */
  readonly dir = Deno.realPathSync(
    Deno.makeTempDirSync({ prefix: "rustyrun-test-looks-" }),
  );

  path(name: string): string {
    return `${this.dir}/${name}`;
  }

  write(name: string, text: string): void {
    Deno.writeTextFileSync(this.path(name), text);
  }

  link(name: string, target: string): void {
    this.remove(name);
    Deno.symlinkSync(target, this.path(name));
  }

  mkdir(name: string): void {
    Deno.mkdirSync(this.path(name));
  }

  remove(name: string): void {
    try {
      Deno.removeSync(this.path(name), { recursive: true });
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
    }
  }

  [Symbol.dispose](): void {
    Deno.removeSync(this.dir, { recursive: true });
  }
}

/**
 * Paints at once when something has changed, at most once a frame. `view` is the window that the view is in: the frames
 * of a page in the background do not come, but those of its floating window do.
 */
export class Painter {
  private framed = false;
  private asked = false;

  constructor(
    private readonly view: () => Window,
    private readonly paint: () => void,
  ) {}

  ask(): void {
    if (this.asked) return;
    this.asked = true;
    if (!this.framed) queueMicrotask(() => this.now());
  }

  /** The view is in another window; a frame of the one before may never come. */
  moved(): void {
    this.framed = false;
  }

  private now(): void {
    if (!this.asked) return;
    this.asked = false;
    this.framed = true;
    this.view().requestAnimationFrame(() => {
      this.framed = false;
      this.now();
    });
    this.paint();
  }
}

import { Component, type ComponentChildren, type ComponentType } from 'preact';

/** A component that is drawn again only when one of its props is another. For rows of long lists. */
export function pure<Props extends object>(draw: (props: Props) => ComponentChildren): ComponentType<Props> {
  return class extends Component<Props> {
    override shouldComponentUpdate(next: Readonly<Props>): boolean {
      const before: Readonly<Props> = this.props;
      return (Object.keys(next) as (keyof Props)[]).some((name) => next[name] !== before[name]);
    }

    override render(): ComponentChildren {
      return draw(this.props);
    }
  };
}

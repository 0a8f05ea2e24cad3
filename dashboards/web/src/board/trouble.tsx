import { Icon } from '../shared/icon';
import { useStore } from '../shared/store';
import { trouble } from './acknowledge';

export function Trouble() {
  const text = useStore(trouble);
  return (
    <div role="alert">
      {text && (
        <p class="notice-line urgent">
          <span class="grow">{text}</span>
          <button class="button quiet small square" type="button" aria-label="Close this message" onClick={() => trouble.set(null)}>
            <Icon name="cross" />
          </button>
        </p>
      )}
    </div>
  );
}

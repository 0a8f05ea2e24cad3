import { useEffect, useState } from 'preact/hooks';

function media(query: string): () => boolean {
  const list = matchMedia(query);
  return () => {
    const [is, set] = useState(list.matches);
    useEffect(() => {
      const follow = () => set(list.matches);
      list.addEventListener('change', follow);
      return () => list.removeEventListener('change', follow);
    }, []);
    return is;
  };
}

/** Whether list and call fit beside each other. */
export const useWide = media('(min-width: 1024px)');

/** Whether there is room for little more than the transcript. */
export const useNarrow = media('(max-width: 720px)');

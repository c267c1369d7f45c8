// A state whose capped fields make their arrays when they are read: a plain object with own, enumerable getters, so that
// spreads, Object.assign and JSON see what they would see otherwise. One getter a field for all states of a store, so
// that V8 gives them all one shape; which versions a state shows lies in a private field of it.
import { read, type Version } from './versions.js';

type State = Record<PropertyKey, unknown>;
/** One a capped field of the store, in the order of its fields. */
type Versions = readonly Version[];

class Given {
  constructor(given: object) {
    return given;
  }
}

class Stamp extends Given {
  #versions: Versions;

  constructor(state: object, versions: Versions) {
    super(state);
    this.#versions = versions;
  }

  static of(this: void, state: object | undefined): Versions | undefined {
    return state && #versions in state ? state.#versions : undefined;
  }
}

export const versionsOf = Stamp.of;

// By the field's place in its store, then by its name.
const shared: Map<string, PropertyDescriptor>[] = [];

/** What shows the field at that place; one for all stores that have it there. */
export function getterOf(name: string, at: number): PropertyDescriptor {
  const named = (shared[at] ??= new Map<string, PropertyDescriptor>());
  let descriptor = named.get(name);
  if (!descriptor) {
    descriptor = {
      enumerable: true,
      configurable: true,
      get(this: object) {
        for (let owner: object | null = this; owner; owner = Object.getPrototypeOf(owner) as object | null) {
          const version = versionsOf(owner)?.[at];
          if (version) return read(version);
        }
        return undefined;
      },
    };
    named.set(name, descriptor);
  }
  return descriptor;
}

/** `from` with those fields shown by their versions; nothing that is not read already is read. */
export function lazyState(from: State, getters: ReadonlyMap<string, PropertyDescriptor>, versions: Versions): State {
  const state: State = {};
  for (const key of Object.keys(from)) {
    const getter = getters.get(key);
    if (getter) Object.defineProperty(state, key, getter);
    else state[key] = from[key];
  }
  new Stamp(state, versions);
  return state;
}

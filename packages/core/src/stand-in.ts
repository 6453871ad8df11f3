/** A class. */
type Class = { readonly prototype: object }

/**
 * Makes the instances of one class instances of another one too, as `extends` would, and looks at that one only when somebody asks. Node loads the global
 * `Response` and `Headers` when they are first touched, which costs 10 ms at start-up; `instanceof Response` has touched it already.
 *
 * Until then a proxy ends the prototype chain. The first question puts the real prototype there.
 *
 * @param own Answers to every member of the other class itself.
 */
export function standInFor(own: Class, other: () => Class): void {
  function prototypeOfOther(): object {
    const { prototype } = other()
    Object.setPrototypeOf(own.prototype, prototype)
    return prototype
  }

  const unasked = new Proxy(
    {},
    {
      getPrototypeOf: prototypeOfOther,
      // Every await asks for `then`, and neither class has one.
      get: (_, name, instance) => (name === 'then' ? undefined : Reflect.get(prototypeOfOther(), name, instance)),
      has: (_, name) => Reflect.has(prototypeOfOther(), name)
    }
  )
  Object.setPrototypeOf(own.prototype, unasked)
}

package jsonata

// builtins are the functions that are there unless a variable of their name is.
var builtins = map[string]*fn{}

// entry is a function of the library. The number of its arguments counts where
// it is handed to another function, and is, like the signature, JSONata's own
// (https://docs.jsonata.org/2.0.0/string-functions and the pages after it).
type entry struct {
	name   string
	sig    string
	arity  int
	native native
}

// init fills builtins: the functions lead back to it.
func init() {
	for _, entries := range [][]entry{textFunctions, matchFunctions, numberFunctions, arrayFunctions, higherFunctions, objectFunctions, timeFunctions, urlFunctions, stateFunctions} {
		for _, e := range entries {
			f := &fn{name: e.name, sig: mustSignature(e.sig), native: e.native, arity: e.arity, places: e.arity}
			f.self = ofFunction(f)
			builtins[e.name] = f
		}
	}
	builtins["string"].places = 2
}

// ofFirst is a native function that gives nothing for nothing.
func ofFirst(f func(ev *evaluator, x item, rest []item) (item, error)) native {
	return func(ev *evaluator, args []item) (item, error) {
		if len(args) == 0 || args[0].kind == undefined {
			return nothing, nil
		}
		return f(ev, args[0], args[1:])
	}
}

package conformance

// StandardFunction is a standard function as the kit knows it.
type StandardFunction struct {
	Name, Kind string
	Optional   bool
	Codecs     []string
}

// StandardFunctions returns all of them.
func StandardFunctions() []StandardFunction {
	var all []StandardFunction
	kinds := map[any]string{kindFunction: "function", kindStream: "stream", kindSession: "session", kindActor: "actor"}
	for _, f := range standardFunctions() {
		all = append(all, StandardFunction{f.name, kinds[f.wireKind()], f.optional, f.codecs})
	}
	return all
}

// Uses returns the functions that a case calls.
func (c Case) Uses() []string { return c.uses }

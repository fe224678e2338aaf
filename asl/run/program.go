package run

import "switchyard/asl"

// Program is a parsed definition, shared by all executions of a revision.
type Program struct {
	Machine *asl.Machine
	// States are those of all graphs, by name.
	States map[string]*asl.State
	// Children are the programs of the distributed Maps, by their states' names.
	Children map[string]*Program
}

// NewProgram prepares a machine to be run.
func NewProgram(m *asl.Machine) *Program {
	p := &Program{Machine: m, States: map[string]*asl.State{}, Children: map[string]*Program{}}
	p.index(&m.Graph)
	return p
}

func (p *Program) index(g *asl.Graph) {
	for _, s := range g.States {
		p.States[s.Name] = s
		if s.Map != nil && s.Map.Processor.Distributed {
			inner := &asl.Machine{Graph: s.Map.Processor.Graph, Version: p.Machine.Version, QueryLanguage: p.Machine.QueryLanguage, Timeout: s.Map.Processor.Timeout}
			p.Children[s.Name] = &Program{Machine: inner, States: p.States, Children: p.Children}
		}
		for _, inner := range s.Graphs() {
			p.index(inner)
		}
	}
}

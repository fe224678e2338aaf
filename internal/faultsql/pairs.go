package faultsql

// Pairs plans two faults for each life that runs the given statements: each
// statement with each of the next window ones, and the first statement of each
// kind with the first of each other kind after it; in all four ways.
//
// Once a statement has failed others come than did without, among them those
// that open a new connection. A plan says only where a fault happens.
func Pairs(statements []string, window int) [][]Fault {
	var plans [][]Fault
	both := func(first, second int) {
		for _, applied := range [][2]bool{{false, false}, {false, true}, {true, false}, {true, true}} {
			plans = append(plans, []Fault{{At: first, Applied: applied[0]}, {At: second, Applied: applied[1]}})
		}
	}
	var firsts []int
	kinds := map[string]bool{}
	for i, s := range statements {
		for k := 1; k <= window; k++ {
			both(i+1, i+1+k)
		}
		if !kinds[s] {
			kinds[s] = true
			firsts = append(firsts, i+1)
		}
	}
	for _, first := range firsts {
		for _, second := range firsts {
			if second > first+window {
				both(first, second)
			}
		}
	}
	return plans
}

//go:build unix

package build

// automaton finds many texts in a stream in one pass, in time that is linear in
// the stream whatever the texts are (Aho and Corasick, 1975). Line breaks count
// for nothing: the texts have none, and those of the stream are passed over by
// whoever feeds it. So a text is found however its lines were broken, as base64
// and hexdumps break them.
//
// The nodes are kept in arrays and their children in lists: nearly every node
// has one child only, and a table of 256 for each would take a hundred times
// the memory. The root and its children, where a stream is nearly always, do
// have tables, and the few nodes with many children.
type automaton struct {
	// label is the byte that leads to a node; the root is node 0.
	label          []byte
	child, sibling []int32
	// fail is the node for the longest end of the way to a node that begins a
	// text too.
	fail []int32
	// depth is the length of the way to a node, and match that of the longest
	// text that ends there.
	depth, match []int32
	// row says where the table has the next nodes of a node, 256 of them;
	// negative for a node that is not there.
	row   []int32
	table []int32
}

// manyChildren is from how many on a node has a table.
const manyChildren = 4

func newAutomaton(texts []string) *automaton {
	a := &automaton{}
	a.node(0, 0)
	for _, text := range texts {
		n := int32(0)
		for i := range len(text) {
			next := a.find(n, text[i])
			if next == 0 {
				next = a.addChild(n, text[i])
			}
			n = next
		}
		a.match[n] = int32(len(text))
	}
	a.link()
	return a
}

func (a *automaton) node(label byte, depth int32) int32 {
	a.label = append(a.label, label)
	a.child, a.sibling, a.fail = append(a.child, 0), append(a.sibling, 0), append(a.fail, 0)
	a.depth, a.match = append(a.depth, depth), append(a.match, 0)
	return int32(len(a.label) - 1)
}

func (a *automaton) addChild(parent int32, label byte) int32 {
	n := a.node(label, a.depth[parent]+1)
	a.sibling[n], a.child[parent] = a.child[parent], n
	return n
}

// find gives the child of n for a byte, 0 when there is none.
func (a *automaton) find(n int32, b byte) int32 {
	c := a.child[n]
	for c != 0 && a.label[c] != b {
		c = a.sibling[c]
	}
	return c
}

// link sets fail and the tables, from the root down.
func (a *automaton) link() {
	a.row = make([]int32, len(a.label))
	for queue := []int32{0}; len(queue) > 0; queue = queue[1:] {
		n := queue[0]
		if a.match[n] == 0 {
			a.match[n] = a.match[a.fail[n]]
		}
		children := 0
		for c := a.child[n]; c != 0; c = a.sibling[c] {
			if n != 0 {
				a.fail[c] = a.next(a.fail[n], a.label[c])
			}
			queue = append(queue, c)
			children++
		}
		if a.row[n] = -1; a.depth[n] > 1 && children < manyChildren {
			continue
		}
		// What has no child of its own goes where it goes from fail.
		row := make([]int32, 256)
		for b := range row {
			if n != 0 {
				row[b] = a.next(a.fail[n], byte(b))
			}
		}
		for c := a.child[n]; c != 0; c = a.sibling[c] {
			row[a.label[c]] = c
		}
		a.row[n] = int32(len(a.table))
		a.table = append(a.table, row...)
	}
}

// next is where a byte leads from node n.
func (a *automaton) next(n int32, b byte) int32 {
	for a.row[n] < 0 {
		if c := a.find(n, b); c != 0 {
			return c
		}
		n = a.fail[n]
	}
	return a.table[a.row[n]+int32(b)]
}

package jsonata

// form is what an expression is.
type form uint8

const (
	formEnd form = iota // behind the last token
	formString
	formNumber
	formValue // true, false, null
	formRegex
	formName
	formVariable
	formKeyword // and, or, in where an operand belongs: a name
	formHole    // ? among arguments
	formWildcard
	formDescendant
	formParent
	formPath
	formBinary
	formNegate
	formArray
	formObject
	formCall
	formPartial
	formLambda
	formCondition
	formBlock
	formBind
	formApply
	formTransform
	formSort
)

// expr is a node of the tree: first as it is written, then, after [resolver],
// as it is evaluated.
type expr struct {
	form     form
	op       string // of formBinary
	operator operator
	pos      int
	name     string // of names, variables; the text of strings and operators
	constant item   // of literals
	regex    *regex
	builtin  *fn // what a variable means unless it is bound

	lhs, rhs, third *expr // operands; condition, then, else; pattern, update, delete
	list            []*expr
	pairs           [][2]*expr
	terms           []term
	sig             *signature
	thunk           bool // a call in the last place of a function

	predicates []stage
	stages     []stage
	group      *group

	keepArray     bool // [] behind it
	keepSingleton bool // a path with such a step
	consArray     bool
	plain         bool // a path of names, of which nothing else is asked
	literal       bool // nothing but its constant
	tuple         bool
	focus         string // @$name
	index         string // #$name
	slot          *slot  // of formParent
	ancestor      *slot
	seeking       []*slot
}

// term is one of an order-by's.
type term struct {
	expr       *expr
	descending bool
}

// stage is what is done to the result of a step: a filter, or the binding of
// the position to a variable.
type stage struct {
	filter *expr
	index  string
	pos    int
}

// group is {key: value} behind an expression.
type group struct {
	pairs [][2]*expr
	pos   int
}

// slot is where the parent of a step is kept: the variable label, level steps
// up.
type slot struct {
	label string
	level int
	index int
}

package jsonata

// maxNesting bounds how deep an expression may nest.
const maxNesting = 500

// power is how tightly an operator binds what stands left of it.
var power = map[string]int{
	".": 75, "[": 80, "{": 70, "(": 80, "@": 80, "#": 80, "?": 20,
	"+": 50, "-": 50, "*": 60, "/": 60, "%": 60, "&": 50,
	"=": 40, "<": 40, ">": 40, "^": 40, "!=": 40, "<=": 40, ">=": 40, "~>": 40, "in": 40,
	":=": 10, "and": 30, "or": 25,
}

// separators are operators that stand neither before nor between operands.
var separators = map[string]bool{":": true, ";": true, ",": true, ")": true, "]": true, "}": true, "..": true, "|": true, "**": true}

// parser is a top-down operator precedence parser.
type parser struct {
	lexer
	tok   token
	depth int
}

// parse reads an expression into its tree as it is written.
func parse(src string) (*expr, error) {
	p := &parser{lexer: lexer{src: src}}
	if err := p.advance(false); err != nil {
		return nil, err
	}
	e, err := p.expression(0)
	if err != nil {
		return nil, err
	}
	if p.tok.kind != tokenEnd {
		return nil, failAt("S0201", p.tok.pos, p.tok.shown())
	}
	return e, nil
}

func (p *parser) advance(afterOperand bool) error {
	t, err := p.next(afterOperand)
	if err != nil {
		return err
	}
	if t.kind == tokenOperator && power[t.text] == 0 && !separators[t.text] {
		return failAt("S0204", t.pos, t.text)
	}
	p.tok = t
	return nil
}

// at reports whether the cursor is at an operator.
func (p *parser) at(op string) bool { return p.tok.kind == tokenOperator && p.tok.text == op }

// expect steps over an operator that must come now.
func (p *parser) expect(op string, afterOperand bool) error {
	if !p.at(op) {
		code := "S0202"
		if p.tok.kind == tokenEnd {
			code = "S0203"
		}
		return failAt(code, p.tok.pos, p.tok.shown()).of(op)
	}
	return p.advance(afterOperand)
}

func (p *parser) expression(least int) (*expr, error) {
	if p.depth++; p.depth > maxNesting {
		return nil, tooDeep()
	}
	defer func() { p.depth-- }()
	t := p.tok
	if err := p.advance(true); err != nil {
		return nil, err
	}
	left, err := p.prefix(t)
	for err == nil && p.tok.kind == tokenOperator && least < power[p.tok.text] {
		t = p.tok
		if err = p.advance(false); err == nil {
			left, err = p.infix(t, left)
		}
	}
	return left, err
}

func (p *parser) prefix(t token) (*expr, error) {
	e := &expr{pos: t.pos, name: t.text, constant: t.value, regex: t.regex}
	switch t.kind {
	case tokenEnd:
		e.form = formEnd
	case tokenName:
		e.form = formName
	case tokenVariable:
		e.form = formVariable
	case tokenString:
		e.form = formString
	case tokenNumber:
		e.form = formNumber
	case tokenValue:
		e.form = formValue
	case tokenRegex:
		e.form = formRegex
	case tokenOperator:
		return e, p.prefixOperator(t.text, e)
	}
	return e, nil
}

func (p *parser) prefixOperator(op string, e *expr) (err error) {
	switch op {
	case "and", "or", "in":
		e.form = formKeyword
	case "-":
		e.form = formNegate
		e.lhs, err = p.expression(70)
	case "*":
		e.form = formWildcard
	case "**":
		e.form = formDescendant
	case "%":
		e.form = formParent
	case "(":
		return p.block(e)
	case "[":
		return p.array(e)
	case "{":
		e.form = formObject
		e.pairs, err = p.fields()
	case "|":
		return p.transform(e)
	default:
		return failAt("S0211", e.pos, op)
	}
	return err
}

func (p *parser) infix(t token, left *expr) (*expr, error) {
	e := &expr{form: formBinary, op: t.text, name: t.text, pos: t.pos, lhs: left}
	var err error
	switch t.text {
	case "(":
		return e, p.call(e)
	case "[":
		if p.at("]") {
			step := left
			for step.form == formBinary && step.op == "[" {
				step = step.lhs
			}
			step.keepArray = true
			return left, p.advance(false)
		}
		if e.rhs, err = p.expression(0); err == nil {
			err = p.expect("]", true)
		}
	case "^":
		err = p.terms(e)
	case "{":
		e.pairs, err = p.fields()
	case ":=":
		if left.form != formVariable {
			return nil, failAt("S0212", left.pos, left.name)
		}
		e.rhs, err = p.expression(power[":="] - 1)
	case "@", "#":
		if e.rhs, err = p.expression(power[t.text]); err == nil && e.rhs.form != formVariable {
			return nil, failAt("S0214", e.rhs.pos, t.text)
		}
	case "?":
		e.form = formCondition
		if e.rhs, err = p.expression(0); err == nil && p.at(":") {
			if err = p.advance(false); err == nil {
				e.third, err = p.expression(0)
			}
		}
	default:
		e.rhs, err = p.expression(power[t.text])
	}
	return e, err
}

// list reads what stands between commas up to, not including, the closing
// operator.
func (p *parser) list(read func() error) error {
	for {
		if err := read(); err != nil {
			return err
		}
		if !p.at(",") {
			return nil
		}
		if err := p.advance(false); err != nil {
			return err
		}
	}
}

func (p *parser) block(e *expr) error {
	e.form = formBlock
	for !p.at(")") {
		part, err := p.expression(0)
		if err != nil {
			return err
		}
		e.list = append(e.list, part)
		if !p.at(";") {
			break
		}
		if err := p.advance(false); err != nil {
			return err
		}
	}
	return p.expect(")", true)
}

func (p *parser) array(e *expr) error {
	e.form = formArray
	if !p.at("]") {
		err := p.list(func() error {
			part, err := p.expression(0)
			if err == nil && p.at("..") {
				part = &expr{form: formBinary, op: "..", name: "..", pos: p.tok.pos, lhs: part}
				if err = p.advance(false); err == nil {
					part.rhs, err = p.expression(0)
				}
			}
			e.list = append(e.list, part)
			return err
		})
		if err != nil {
			return err
		}
	}
	return p.expect("]", true)
}

// fields reads key: value pairs and the closing brace.
func (p *parser) fields() (pairs [][2]*expr, err error) {
	if !p.at("}") {
		err := p.list(func() error {
			key, err := p.expression(0)
			if err != nil {
				return err
			}
			if err := p.expect(":", false); err != nil {
				return err
			}
			val, err := p.expression(0)
			pairs = append(pairs, [2]*expr{key, val})
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	return pairs, p.expect("}", true)
}

// terms reads the terms of an order-by.
func (p *parser) terms(e *expr) error {
	if err := p.expect("(", false); err != nil {
		return err
	}
	err := p.list(func() (err error) {
		t := term{descending: p.at(">")}
		if t.descending || p.at("<") {
			if err := p.advance(false); err != nil {
				return err
			}
		}
		t.expr, err = p.expression(0)
		e.terms = append(e.terms, t)
		return err
	})
	if err != nil {
		return err
	}
	return p.expect(")", false)
}

func (p *parser) transform(e *expr) (err error) {
	e.form = formTransform
	if e.lhs, err = p.expression(0); err != nil {
		return err
	}
	if err = p.expect("|", false); err != nil {
		return err
	}
	if e.rhs, err = p.expression(0); err != nil {
		return err
	}
	if p.at(",") {
		if err = p.advance(false); err != nil {
			return err
		}
		if e.third, err = p.expression(0); err != nil {
			return err
		}
	}
	return p.expect("|", false)
}

// call reads the arguments of a call, or the definition of a function.
func (p *parser) call(e *expr) error {
	e.form = formCall
	if !p.at(")") {
		err := p.list(func() error {
			if p.at("?") {
				e.form = formPartial
				e.list = append(e.list, &expr{form: formHole, name: "?", pos: p.tok.pos})
				return p.advance(false)
			}
			arg, err := p.expression(0)
			e.list = append(e.list, arg)
			return err
		})
		if err != nil {
			return err
		}
	}
	if err := p.expect(")", true); err != nil {
		return err
	}
	if e.lhs.form == formName && (e.lhs.name == "function" || e.lhs.name == "λ") {
		return p.lambda(e)
	}
	return nil
}

func (p *parser) lambda(e *expr) (err error) {
	e.form = formLambda
	for i, arg := range e.list {
		if arg.form != formVariable {
			return failAt("S0208", arg.pos, arg.name).of(float64(i + 1))
		}
	}
	if p.at("<") {
		if e.sig, err = p.signature(); err != nil {
			return err
		}
	}
	if err = p.expect("{", false); err != nil {
		return err
	}
	if e.rhs, err = p.expression(0); err != nil {
		return err
	}
	return p.expect("}", false)
}

// signature reads the signature at the cursor.
func (p *parser) signature() (*signature, error) {
	pos, text := p.tok.pos, "<"
	for depth := 1; depth > 0 && !p.at("{") && p.tok.kind != tokenEnd; {
		if err := p.advance(false); err != nil {
			return nil, err
		}
		switch {
		case p.at(">"):
			depth--
		case p.at("<"):
			depth++
		}
		text += p.tok.text
	}
	if err := p.expect(">", false); err != nil {
		return nil, err
	}
	sig, err := parseSignature(text)
	if err != nil {
		err.Position += pos
		return nil, err
	}
	return sig, nil
}

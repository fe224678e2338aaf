package asl

import (
	"strings"

	"switchyard/asl/value"
)

// String is the rule as people write conditions: $.a == "x" and $.n < 3.
func (r andRule) String() string { return joinRules(r, " and ") }

// String is the rule as people write conditions.
func (r orRule) String() string { return joinRules(r, " or ") }

// String is the rule as people write conditions.
func (r notRule) String() string {
	if c, ok := r.of.(*comparison); ok {
		switch {
		case c.class == classIs:
			opposite := *c
			want, _ := c.with.Bool()
			opposite.with = value.OfBool(!want)
			return opposite.String()
		case c.class == classBoolean && c.path == nil:
			return c.variable.String() + " is not " + c.operand()
		case c.class != classMatches && c.relation == equals:
			return c.variable.String() + " != " + c.operand()
		}
	}
	return "not " + groupRule(r.of)
}

func joinRules(rules []Condition, word string) string {
	if len(rules) == 1 {
		return rules[0].String()
	}
	parts := make([]string, len(rules))
	for i, c := range rules {
		parts[i] = groupRule(c)
	}
	return strings.Join(parts, word)
}

// groupRule is a rule within another one.
func groupRule(c Condition) string {
	switch r := c.(type) {
	case andRule:
		if len(r) > 1 {
			return "(" + r.String() + ")"
		}
	case orRule:
		if len(r) > 1 {
			return "(" + r.String() + ")"
		}
	}
	return c.String()
}

// String is the comparison as people write it: $.n < 3, $.skip is true,
// $.name matches "a*".
func (c *comparison) String() string {
	variable := c.variable.String()
	switch c.class {
	case classIs:
		word := " is "
		if want, _ := c.with.Bool(); !want {
			word = " is not "
		}
		return variable + word + testWords[c.is]
	case classMatches:
		return variable + " matches " + c.operand()
	case classBoolean:
		if c.path == nil {
			return variable + " is " + c.operand()
		}
	default:
	}
	return variable + " " + signs[c.relation] + " " + c.operand()
}

// operand is what a comparison compares with.
func (c *comparison) operand() string {
	if c.path != nil {
		return c.path.String()
	}
	if at, ok := c.with.Str(); ok && c.class == classTimestamp {
		return at
	}
	return c.with.JSON()
}

var signs = [...]string{equals: "==", less: "<", greater: ">", lessOrEqual: "<=", greaterOrEqual: ">="}

// testWords name what the Is operators test.
var testWords = map[string]string{
	"IsNull": "null", "IsPresent": "present", "IsNumeric": "a number",
	"IsString": "a string", "IsBoolean": "a boolean", "IsTimestamp": "a timestamp",
}

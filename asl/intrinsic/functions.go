package intrinsic

import (
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"math"
	mrand "math/rand/v2"
	"strings"
	"unicode/utf8"

	"switchyard/asl/jsonpath"
	"switchyard/asl/value"
	"switchyard/internal/uuid"
)

// AWS's limits on what functions take and give.
const (
	maxRange = 1000  // elements of States.ArrayRange
	maxChars = 10000 // of States.Base64Encode, Base64Decode and Hash
)

type function struct {
	name        string
	least, most int // number of arguments; most < 0 is without limit
	eval        func(sc *Scope, c *Call, args []value.Value) (value.Value, error)
}

func (f *function) arity() string {
	switch {
	case f.most < 0:
		return fmt.Sprintf("at least %s", arguments(f.least))
	case f.least == f.most:
		return arguments(f.least)
	default:
		return fmt.Sprintf("%d to %s", f.least, arguments(f.most))
	}
}

func arguments(n int) string {
	if n == 1 {
		return "1 argument"
	}
	return fmt.Sprintf("%d arguments", n)
}

var byName = func() map[string]*function {
	m := map[string]*function{}
	for _, f := range []function{
		{"States.Format", 1, -1, format},
		{"States.StringToJson", 1, 1, stringToJSON},
		{"States.JsonToString", 1, 1, jsonToString},
		{"States.Array", 0, -1, array},
		{"States.ArrayPartition", 2, 2, arrayPartition},
		{"States.ArrayContains", 2, 2, arrayContains},
		{"States.ArrayRange", 3, 3, arrayRange},
		{"States.ArrayGetItem", 2, 2, arrayGetItem},
		{"States.ArrayLength", 1, 1, arrayLength},
		{"States.ArrayUnique", 1, 1, arrayUnique},
		{"States.Base64Encode", 1, 1, base64Encode},
		{"States.Base64Decode", 1, 1, base64Decode},
		{"States.Hash", 2, 2, hashOf},
		{"States.JsonMerge", 3, 3, jsonMerge},
		{"States.MathRandom", 2, 3, mathRandom},
		{"States.MathAdd", 2, 2, mathAdd},
		{"States.StringSplit", 2, 2, stringSplit},
		{"States.UUID", 0, 0, newUUID},
	} {
		m[f.name] = &f
	}
	return m
}()

// The values of arguments, by position counted from 1 in messages.

func text(args []value.Value, i int) (string, error) {
	s, ok := args[i].Str()
	if !ok {
		return "", wrongType(args, i, "a string")
	}
	return s, nil
}

// list takes the first argument of a function, which all of those want there.
func list(args []value.Value) ([]value.Value, error) {
	if args[0].Kind() != value.Array {
		return nil, wrongType(args, 0, "an array")
	}
	return args[0].Slice(), nil
}

// integer takes decimals too, rounded as AWS does.
func integer(args []value.Value, i int) (int64, error) {
	if n, ok := args[i].Int(); ok && n >= math.MinInt32 && n <= math.MaxInt32 {
		return n, nil
	}
	f, ok := args[i].Float()
	if !ok {
		return 0, wrongType(args, i, "a number")
	}
	f = math.Floor(f + 0.5) // Java's Math.round: halves go up
	if f < math.MinInt32 || f > math.MaxInt32 {
		return 0, fmt.Errorf("argument %d must be between %d and %d, was %s", i+1, math.MinInt32, math.MaxInt32, args[i].JSON())
	}
	return int64(f), nil
}

func wrongType(args []value.Value, i int, want string) error {
	return fmt.Errorf("argument %d must be %s, was %s", i+1, want, shorten(args[i].JSON()))
}

// shorten keeps messages readable.
func shorten(s string) string {
	const most = 200
	if len(s) <= most {
		return s
	}
	cut := most
	for !utf8.RuneStart(s[cut]) {
		cut--
	}
	return s[:cut] + "…"
}

func tooLong(s string) error {
	if n := utf8.RuneCountInString(s); n > maxChars {
		return fmt.Errorf("the string must not be longer than %d characters, was %d", maxChars, n)
	}
	return nil
}

func format(_ *Scope, c *Call, args []value.Value) (value.Value, error) {
	template := c.args[0].raw
	if c.args[0].path != nil || c.args[0].call != nil {
		s, err := text(args, 0)
		if err != nil {
			return value.Value{}, err
		}
		template = s
	} else if _, err := text(args, 0); err != nil {
		return value.Value{}, err
	}
	var b strings.Builder
	next := 1
	for i := 0; i < len(template); i++ {
		switch ch := template[i]; {
		case ch == '\\' && i+1 < len(template) && strings.IndexByte(`'{}\`, template[i+1]) >= 0:
			i++
			b.WriteByte(template[i])
		case ch == '{' && strings.HasPrefix(template[i:], "{}"):
			i++
			if next < len(args) {
				b.WriteString(jsonpath.JavaString(args[next]))
			}
			next++
		default:
			b.WriteByte(ch)
		}
	}
	if next != len(args) {
		return value.Value{}, fmt.Errorf("the template has %d placeholders for %s", next-1, arguments(len(args)-1))
	}
	return value.OfString(b.String()), nil
}

func stringToJSON(_ *Scope, _ *Call, args []value.Value) (value.Value, error) {
	s, err := text(args, 0)
	if err != nil {
		return value.Value{}, err
	}
	if strings.Trim(s, " \t\r\n") == "" {
		return value.Value{}, nil
	}
	// Java's reader stops at the end of the first value; only a number must be
	// set off from what follows.
	v, rest, err := value.ParsePrefix(s)
	if err != nil {
		return value.Value{}, err
	}
	if v.Kind() == value.Number && rest != "" && strings.IndexByte(" \t\r\n", rest[0]) < 0 {
		return value.Value{}, fmt.Errorf("invalid JSON at byte %d: unexpected text after the number", len(s)-len(rest))
	}
	return v, nil
}

func jsonToString(_ *Scope, _ *Call, args []value.Value) (value.Value, error) {
	return value.OfString(args[0].JSON()), nil
}

func array(_ *Scope, _ *Call, args []value.Value) (value.Value, error) {
	return value.OfArray(append([]value.Value(nil), args...)), nil
}

func arrayPartition(_ *Scope, _ *Call, args []value.Value) (value.Value, error) {
	elems, err := list(args)
	if err != nil {
		return value.Value{}, err
	}
	size, err := integer(args, 1)
	if err != nil {
		return value.Value{}, err
	}
	if size <= 0 {
		return value.Value{}, fmt.Errorf("argument 2 must be a positive integer, was %s", args[1].JSON())
	}
	out := []value.Value{}
	for len(elems) > 0 {
		n := min(int(size), len(elems))
		out = append(out, value.OfArray(elems[:n:n]))
		elems = elems[n:]
	}
	return value.OfArray(out), nil
}

func arrayContains(_ *Scope, _ *Call, args []value.Value) (value.Value, error) {
	elems, err := list(args)
	if err != nil {
		return value.Value{}, err
	}
	for _, e := range elems {
		if value.Equal(e, args[1]) {
			return value.OfBool(true), nil
		}
	}
	return value.OfBool(false), nil
}

func arrayRange(_ *Scope, _ *Call, args []value.Value) (value.Value, error) {
	var n [3]int64
	for i := range n {
		var err error
		if n[i], err = integer(args, i); err != nil {
			return value.Value{}, err
		}
	}
	first, last, by := n[0], n[1], n[2]
	if by == 0 {
		return value.Value{}, errors.New("argument 3, the step, must not be 0")
	}
	out := []value.Value{}
	for i := first; by > 0 && i <= last || by < 0 && i >= last; i += by {
		if len(out) == maxRange {
			return value.Value{}, fmt.Errorf("the array must not have more than %d elements", maxRange)
		}
		out = append(out, value.OfInt(i))
	}
	return value.OfArray(out), nil
}

func arrayGetItem(_ *Scope, _ *Call, args []value.Value) (value.Value, error) {
	elems, err := list(args)
	if err != nil {
		return value.Value{}, err
	}
	i, ok := args[1].Int()
	if !ok {
		return value.Value{}, wrongType(args, 1, "an integer")
	}
	if i < 0 || i >= int64(len(elems)) {
		return value.Value{}, fmt.Errorf("the index %d is out of bounds of an array of length %d", i, len(elems))
	}
	return elems[i], nil
}

func arrayLength(_ *Scope, _ *Call, args []value.Value) (value.Value, error) {
	elems, err := list(args)
	return value.OfInt(int64(len(elems))), err
}

func arrayUnique(_ *Scope, _ *Call, args []value.Value) (value.Value, error) {
	elems, err := list(args)
	if err != nil {
		return value.Value{}, err
	}
	// Equal values have equal text, but for the order of an object's keys.
	seen := make(map[string]bool, len(elems))
	var objects []value.Value
	out := []value.Value{}
next:
	for _, e := range elems {
		if e.Kind() == value.Array || e.Kind() == value.Object {
			for _, o := range objects {
				if value.Equal(o, e) {
					continue next
				}
			}
			objects = append(objects, e)
		} else {
			key := e.JSON()
			if seen[key] {
				continue
			}
			seen[key] = true
		}
		out = append(out, e)
	}
	return value.OfArray(out), nil
}

func base64Encode(_ *Scope, _ *Call, args []value.Value) (value.Value, error) {
	s, err := text(args, 0)
	if err != nil {
		return value.Value{}, err
	}
	if err := tooLong(s); err != nil {
		return value.Value{}, err
	}
	return value.OfString(base64.StdEncoding.EncodeToString([]byte(s))), nil
}

func base64Decode(_ *Scope, _ *Call, args []value.Value) (value.Value, error) {
	s, err := text(args, 0)
	if err != nil {
		return value.Value{}, err
	}
	if err := tooLong(s); err != nil {
		return value.Value{}, err
	}
	b, err := base64.StdEncoding.DecodeString(s)
	if err != nil {
		if b, err = base64.RawStdEncoding.DecodeString(s); err != nil {
			return value.Value{}, errors.New("the string is not Base64")
		}
	}
	return value.OfString(strings.ToValidUTF8(string(b), "\uFFFD")), nil
}

func hashOf(_ *Scope, _ *Call, args []value.Value) (value.Value, error) {
	s, ok := args[0].Str()
	if !ok {
		s = args[0].JSON()
	}
	if err := tooLong(s); err != nil {
		return value.Value{}, err
	}
	name, err := text(args, 1)
	if err != nil {
		return value.Value{}, err
	}
	var h hash.Hash
	switch name {
	case "MD5":
		h = md5.New()
	case "SHA-1":
		h = sha1.New()
	case "SHA-256":
		h = sha256.New()
	case "SHA-384":
		h = sha512.New384()
	case "SHA-512":
		h = sha512.New()
	default:
		return value.Value{}, fmt.Errorf("unknown algorithm %q, use MD5, SHA-1, SHA-256, SHA-384 or SHA-512", shorten(name))
	}
	h.Write([]byte(s))
	return value.OfString(hex.EncodeToString(h.Sum(nil))), nil
}

func jsonMerge(_ *Scope, _ *Call, args []value.Value) (value.Value, error) {
	for i := range 2 {
		if args[i].Kind() != value.Object {
			return value.Value{}, wrongType(args, i, "an object")
		}
	}
	deep, ok := args[2].Bool()
	if !ok {
		return value.Value{}, wrongType(args, 2, "a boolean")
	}
	if deep {
		return value.Value{}, errors.New("argument 3 must be false: Step Functions has no deep merge")
	}
	b := value.NewBuilder(args[0].Len() + args[1].Len())
	for i := range 2 {
		for k, v := range args[i].Fields() {
			b.Set(k, v)
		}
	}
	return b.Object(), nil
}

func mathRandom(sc *Scope, _ *Call, args []value.Value) (value.Value, error) {
	var n [2]int64
	for i := range n {
		var err error
		if n[i], err = integer(args, i); err != nil {
			return value.Value{}, err
		}
	}
	from, to := n[0], n[1]
	if from >= to {
		return value.Value{}, fmt.Errorf("the start %d must be less than the end %d", from, to)
	}
	span := uint64(to - from)
	if len(args) == 3 {
		f, ok := args[2].Float()
		if !ok {
			return value.Value{}, wrongType(args, 2, "a number")
		}
		seed := uint64(int64(max(math.MinInt64, min(math.MaxInt64/2, math.Floor(f+0.5)))))
		return value.OfInt(from + int64(mrand.New(mrand.NewPCG(seed, 0)).Uint64N(span))), nil
	}
	if sc.Random != nil {
		return value.OfInt(from + int64(sc.Random(span))), nil
	}
	return value.OfInt(from + int64(mrand.Uint64N(span))), nil
}

// mathAdd adds integers; AWS rounds each decimal before it adds.
func mathAdd(_ *Scope, _ *Call, args []value.Value) (value.Value, error) {
	a, err := integer(args, 0)
	if err != nil {
		return value.Value{}, err
	}
	b, err := integer(args, 1)
	if err != nil {
		return value.Value{}, err
	}
	return value.OfInt(a + b), nil
}

// stringSplit splits at every character of the second string; empty parts
// are left out.
func stringSplit(_ *Scope, _ *Call, args []value.Value) (value.Value, error) {
	s, err := text(args, 0)
	if err != nil {
		return value.Value{}, err
	}
	delimiters, err := text(args, 1)
	if err != nil {
		return value.Value{}, err
	}
	out := []value.Value{}
	for _, part := range strings.FieldsFunc(s, func(r rune) bool { return strings.ContainsRune(delimiters, r) }) {
		out = append(out, value.OfString(part))
	}
	return value.OfArray(out), nil
}

func newUUID(sc *Scope, _ *Call, _ []value.Value) (value.Value, error) {
	if sc.NewUUID != nil {
		return value.OfString(sc.NewUUID()), nil
	}
	return value.OfString(uuid.New()), nil
}

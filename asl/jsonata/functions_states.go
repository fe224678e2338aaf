package jsonata

import (
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"fmt"
	"math"

	"switchyard/asl/value"
)

// stateFunctions are those that Step Functions adds
// (https://docs.aws.amazon.com/step-functions/latest/dg/transforming-data.html),
// and those that do not give the same every time.
var stateFunctions = []entry{
	{"partition", "<an:a>", 2, partition},
	{"range", "<nnn?:a>", 3, rangeOf},
	{"hash", "<ss?:s>", 2, ofFirst(hash)},
	{"random", "<n?:n>", 1, random},
	{"uuid", "<:s>", 0, uuid},
	{"parse", "<s:x>", 1, ofFirst(parseJSON)},
}

func raised(format string, args ...any) *Error {
	return &Error{Code: "D3137", text: fmt.Sprintf(format, args...)}
}

// partition cuts an array into arrays of size, the last of which may be
// shorter. Of no elements, or into parts of none, it is nothing.
func partition(ev *evaluator, args []item) (item, error) {
	x, size := arg(args, 0), math.Trunc(arg(args, 1).num)
	if x.len() == 0 || size == 0 || arg(args, 1).kind == undefined {
		return nothing, nil
	}
	if !(size > 0) {
		return nothing, raised("The second argument of the partition function must be a positive integer: %s", formatNumber(size))
	}
	elems := x.elems()
	var out []item
	for len(elems) > 0 {
		n := int(min(size, float64(len(elems))))
		out = append(out, ofArray(elems[:n:n]))
		elems = elems[n:]
		if err := ev.grow(1, len(out)); err != nil {
			return nothing, err
		}
	}
	return ofArray(out), nil
}

// maxRange is the largest array that range makes.
const maxRange = 360_145

// rangeOf counts from the first to the last number, both included, in steps; a
// single number stands for itself. A step that leads away, or of 0, gives
// nothing.
func rangeOf(ev *evaluator, args []item) (item, error) {
	for i := range 3 {
		if arg(args, i).kind == undefined {
			return nothing, nil
		}
	}
	first, last, step := math.Trunc(args[0].num), math.Trunc(args[1].num), math.Trunc(args[2].num)
	n := math.Floor((last-first)/step) + 1
	if step == 0 || !(n >= 1) {
		return nothing, nil
	}
	if n > maxRange {
		return nothing, tooLarge()
	}
	size := int(n)
	if err := ev.grow(size, size); err != nil {
		return nothing, err
	}
	out := make([]item, size)
	for i := range out {
		out[i] = ofNumber(first + float64(i)*step)
	}
	return settle(ofSequence(out), false), nil
}

func hash(_ *evaluator, x item, rest []item) (item, error) {
	if arg(rest, 0).kind == undefined {
		return nothing, nil
	}
	algorithm, data := arg(rest, 0).str, []byte(x.str)
	switch algorithm {
	case "MD5":
		sum := md5.Sum(data)
		return ofString(hex.EncodeToString(sum[:])), nil
	case "SHA-1":
		sum := sha1.Sum(data)
		return ofString(hex.EncodeToString(sum[:])), nil
	case "SHA-256":
		sum := sha256.Sum256(data)
		return ofString(hex.EncodeToString(sum[:])), nil
	case "SHA-384":
		sum := sha512.Sum384(data)
		return ofString(hex.EncodeToString(sum[:])), nil
	case "SHA-512":
		sum := sha512.Sum512(data)
		return ofString(hex.EncodeToString(sum[:])), nil
	}
	return nothing, raised("The second argument of the hash function must be one of MD5, SHA-1, SHA-256, SHA-384, SHA-512: %s", algorithm)
}

// random gives a number from 0 up to 1; of a seed always the same, the first
// that java.util.Random gives.
func random(ev *evaluator, args []item) (item, error) {
	seed := arg(args, 0)
	if seed.kind == undefined {
		return ofNumber(ev.chance()), nil
	}
	const multiplier, mask = 0x5DEECE66D, 1<<48 - 1
	state := (int64(seed.num) ^ multiplier) & mask
	next := func(bits int) int64 {
		state = (state*multiplier + 0xB) & mask
		return state >> (48 - bits)
	}
	high := next(26) << 27
	return ofNumber(float64(high+next(27)) / (1 << 53)), nil
}

func uuid(ev *evaluator, _ []item) (item, error) {
	var b [16]byte
	for i := range b {
		b[i] = byte(ev.random(256))
	}
	b[6], b[8] = b[6]&0x0F|0x40, b[8]&0x3F|0x80
	return ofString(fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])), nil
}

func parseJSON(ev *evaluator, x item, _ []item) (item, error) {
	if err := ev.alloc(8 * len(x.str)); err != nil {
		return nothing, err
	}
	v, err := value.ParseString(x.str)
	if err != nil {
		return nothing, raised("The argument of the parse function is not valid JSON: %v", err)
	}
	return fromValue(v), nil
}

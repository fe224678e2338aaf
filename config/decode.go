package config

import (
	"fmt"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/token"

	"switchyard/internal/awssecret"
	"switchyard/internal/nearest"
	"switchyard/internal/yamldoc"
)

// Bounds of a config. They are far above any that a person writes; they keep a
// wrong file from exhausting memory.
const (
	maxFile  = yamldoc.MaxBytes
	maxDepth = yamldoc.MaxDepth
	maxNodes = 100_000
)

// decoder fills structs from YAML and goes on after an error, so that all are
// reported together; the decoder of the YAML library stops at the first.
//
// Struct tags: json names the key; enum lists the accepted texts, min and max
// bound numbers. The schema is generated from the same tags.
type decoder struct {
	name    string
	env     Env
	offline bool

	anchors map[string]ast.Node
	places  map[string]*token.Position
	// unresolved holds the paths of values whose reference is not set, when
	// offline; checks on their content make no sense.
	unresolved map[string]bool
	// expanded are the texts with references that were filled in, by path, and
	// written what stands in the file: errors show that. What a variable holds may
	// be a secret that was put in the wrong place.
	expanded, written map[string]string
	// variables are those that are named, and whether a secret does.
	variables map[string]bool
	// secretFiles are those that secrets were read from.
	secretFiles []string
	// wanted are the secrets in AWS that are referred to, and answers what they
	// are, nil before that is known: then only their form is checked.
	wanted  []awssecret.Wanted
	answers map[awssecret.Ref]awssecret.Answer
	// several says that what is decoded is one of a list of secrets, of which
	// previous holds the versions from before a rotation, by path.
	several  bool
	previous map[string]Secret
	read     *files
	failed   Errors
	depth    int
	nodes    int
}

func newDecoder(name string, read *files, env Env, offline bool) *decoder {
	return &decoder{
		name: name, read: read, env: env, offline: offline,
		places: map[string]*token.Position{}, unresolved: map[string]bool{}, variables: map[string]bool{},
		expanded: map[string]string{}, written: map[string]string{}, previous: map[string]Secret{},
	}
}

// nodeDecoder is a type with its own notation in the file.
type nodeDecoder interface {
	decodeNode(d *decoder, n ast.Node, path string)
}

// decode fills *into from the document.
func (d *decoder) decode(root ast.Node, into *Config) {
	d.places[""] = yamldoc.Start(root)
	d.mapping(root, into, "")
}

// value fills v from n. What is wrong is recorded, and v keeps its default.
func (d *decoder) value(n ast.Node, v reflect.Value, path string, tag reflect.StructTag) {
	if n = d.enter(n, path); n == nil {
		return
	}
	defer d.leave()
	if nd, ok := v.Addr().Interface().(nodeDecoder); ok {
		nd.decodeNode(d, n, path)
		d.checkTag(v, path, tag)
		return
	}
	switch v.Kind() {
	case reflect.Pointer:
		if isNull(n) {
			return
		}
		fresh := reflect.New(v.Type().Elem())
		d.value(n, fresh.Elem(), path, "")
		v.Set(fresh)
	case reflect.Struct:
		d.mapping(n, v.Addr().Interface(), path)
	case reflect.Map:
		d.mapOf(n, v, path)
	case reflect.Slice:
		d.list(n, v, path)
	case reflect.String:
		if text, ok := d.text(n, path); ok {
			v.SetString(text)
		}
	case reflect.Bool:
		d.bool(n, v, path)
	case reflect.Int, reflect.Int64:
		if text, ok := d.known(n, path); ok {
			if i, err := strconv.ParseInt(text, 10, 64); err == nil {
				v.SetInt(i)
			} else {
				d.failValue(path, "expected a whole number, got %q", text)
			}
		}
	case reflect.Float64:
		if text, ok := d.known(n, path); ok {
			f, err := strconv.ParseFloat(text, 64)
			if err == nil && !math.IsNaN(f) && !math.IsInf(f, 0) {
				v.SetFloat(f)
			} else {
				d.failValue(path, "expected a number, got %q", text)
			}
		}
	default:
		panic(fmt.Sprintf("config: no way to decode %v at %s", v.Type(), path))
	}
	d.checkTag(v, path, tag)
}

// enter resolves anchors and aliases and notes the place of path. It returns
// nil when n cannot be decoded; then there is nothing to leave.
func (d *decoder) enter(n ast.Node, path string) ast.Node {
	d.places[path] = yamldoc.Start(n)
	for range maxDepth {
		switch t := n.(type) {
		case *ast.AnchorNode:
			n = t.Value
			continue
		case *ast.AliasNode:
			name := t.Value.GetToken().Value
			target, ok := d.anchors[name]
			if !ok {
				d.failValue(path, "there is no anchor &%s", name)
				return nil
			}
			n = target
			continue
		case *ast.TagNode:
			d.failValue(path, "tags such as %s are not supported; leave it out, or quote the value", t.Start.Value)
			return nil
		}
		if d.nodes++; d.depth >= maxDepth || d.nodes > maxNodes {
			if d.nodes <= maxNodes+1 {
				d.failValue(path, "nested too deep, or too large after aliases are filled in")
				d.nodes = maxNodes + 1
			}
			return nil
		}
		d.depth++
		return n
	}
	d.failValue(path, "an alias that names itself")
	return nil
}

func (d *decoder) leave() { d.depth-- }

// entry is one key of a mapping.
type entry struct {
	key   string
	place *token.Position
	value ast.Node
}

// entries lists the keys of a mapping in the order of the file, each once.
func (d *decoder) entries(n ast.Node, path string) ([]entry, bool) {
	var values []*ast.MappingValueNode
	switch m := n.(type) {
	case *ast.MappingNode:
		values = m.Values
	case *ast.MappingValueNode:
		values = []*ast.MappingValueNode{m}
	case *ast.NullNode:
		return nil, true
	default:
		d.wrongType(n, path, "keys with values")
		return nil, false
	}
	seen := make(map[string]*token.Position, len(values))
	var found []entry
	for _, mv := range values {
		place := mv.Key.GetToken().Position
		var key string
		switch k := mv.Key.(type) {
		case *ast.StringNode:
			key = yamldoc.Text(k.Value)
		case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.NullNode:
			key = k.GetToken().Value
		case *ast.MergeKeyNode:
			d.fail(place, path, "merge keys (<<) are not supported; write the keys out")
			continue
		default:
			d.fail(place, path, "a key must be a plain text")
			continue
		}
		at := join(path, key)
		if first, ok := seen[key]; ok {
			d.fail(place, at, "the key stands here twice; the first is in line %d", first.Line)
			continue
		}
		seen[key] = place
		found = append(found, entry{key, place, mv.Value})
	}
	return found, true
}

// keys lists the keys of n, or nothing when it is no mapping.
func (d *decoder) keys(n ast.Node) []string {
	var keys []string
	if m, ok := n.(*ast.MappingNode); ok {
		for _, mv := range m.Values {
			keys = append(keys, mv.Key.GetToken().Value)
		}
	}
	return keys
}

// mapping fills the struct that into points to.
func (d *decoder) mapping(n ast.Node, into any, path string) {
	entries, ok := d.entries(n, path)
	if !ok {
		return
	}
	v := reflect.ValueOf(into).Elem()
	fields := fieldsOf(v.Type())
	for _, e := range entries {
		at := join(path, e.key)
		i, ok := fields.index[e.key]
		if !ok {
			d.fail(e.place, at, "%s", unknownKey(e.key, fields.names))
			continue
		}
		d.value(e.value, v.Field(i), at, v.Type().Field(i).Tag)
	}
	for _, name := range fields.required {
		if !slices.ContainsFunc(entries, func(e entry) bool { return e.key == name }) {
			d.fail(d.place(path), path, "%s is missing", name)
		}
	}
}

func unknownKey(key string, known []string) string {
	if near := nearest.Name(key, known); near != "" {
		return "unknown key; did you mean " + near + "?"
	}
	return "unknown key; known are " + strings.Join(known, ", ")
}

type fields struct {
	index map[string]int
	// names and required are in the order of the struct.
	names, required []string
}

// fieldsOf lists a struct's keys. A field without omitempty or omitzero must be
// given, which is how the schema reads the tag too.
func fieldsOf(t reflect.Type) fields {
	f := fields{index: map[string]int{}}
	for i := range t.NumField() {
		name, opts, _ := strings.Cut(t.Field(i).Tag.Get("json"), ",")
		if name == "" {
			continue
		}
		f.index[name] = i
		f.names = append(f.names, name)
		if opts == "" {
			f.required = append(f.required, name)
		}
	}
	return f
}

func (d *decoder) mapOf(n ast.Node, v reflect.Value, path string) {
	entries, ok := d.entries(n, path)
	if !ok {
		return
	}
	if v.Type().Elem().Kind() == reflect.Interface {
		v.Set(reflect.ValueOf(d.anyMap(entries, path)))
		return
	}
	m := reflect.MakeMapWithSize(v.Type(), len(entries))
	for _, e := range entries {
		fresh := reflect.New(v.Type().Elem()).Elem()
		d.value(e.value, fresh, join(path, e.key), "")
		m.SetMapIndex(reflect.ValueOf(e.key), fresh)
	}
	v.Set(m)
}

func (d *decoder) list(n ast.Node, v reflect.Value, path string) {
	if isNull(n) {
		return
	}
	s, ok := n.(*ast.SequenceNode)
	if !ok {
		d.wrongType(n, path, "a list")
		return
	}
	out := reflect.MakeSlice(v.Type(), len(s.Values), len(s.Values))
	for i, item := range s.Values {
		d.value(item, out.Index(i), fmt.Sprintf("%s[%d]", path, i), "")
	}
	v.Set(out)
}

// oneOrMany reads a list, or one value that stands for a list of one.
func oneOrMany[T any](d *decoder, n ast.Node, path string) []T {
	if isNull(n) {
		// Read as an empty list, "branches:" with nothing after it would match
		// every branch.
		d.wrongType(n, path, "a value or a list")
		return nil
	}
	var out []T
	if _, ok := n.(*ast.SequenceNode); ok {
		d.list(n, reflect.ValueOf(&out).Elem(), path)
		return out
	}
	var one T
	failed := len(d.failed)
	d.value(n, reflect.ValueOf(&one).Elem(), path, "")
	if len(d.failed) > failed {
		return nil
	}
	return []T{one}
}

// checkTag holds v against the enum, min and max of its field.
func (d *decoder) checkTag(v reflect.Value, path string, tag reflect.StructTag) {
	if d.unresolved[path] {
		return
	}
	if enum, ok := tag.Lookup("enum"); ok {
		known := strings.Split(enum, ",")
		if v.Kind() == reflect.String {
			d.oneOf(v.String(), known, path)
		} else {
			for i := range v.Len() {
				d.oneOf(v.Index(i).String(), known, d.item(path, i))
			}
		}
	}
	var number float64
	switch v.Kind() {
	case reflect.Int, reflect.Int64:
		number = float64(v.Int())
	case reflect.Float64:
		number = v.Float()
	default:
		return
	}
	if low, err := strconv.ParseFloat(tag.Get("min"), 64); err == nil && number < low {
		d.failValue(path, "must be at least %v", low)
	}
	if high, err := strconv.ParseFloat(tag.Get("max"), 64); err == nil && number > high {
		d.failValue(path, "must be at most %v", high)
	}
}

func (d *decoder) oneOf(text string, known []string, path string) {
	if text == "" || slices.Contains(known, text) || d.unresolved[path] {
		return
	}
	if near := nearest.Name(text, known); near != "" {
		d.failValue(path, "unknown value %q; did you mean %s?", text, near)
		return
	}
	d.failValue(path, "unknown value %q; known are %s", text, strings.Join(known, ", "))
}

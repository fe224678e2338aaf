package config

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
)

// EngineChanged reports whether the engine's settings differ from those of old.
// A secret that is kept in AWS, and was only rotated there, is no difference;
// rotated lists the keys of those.
func (c *Config) EngineChanged(old *Config) (changed bool, rotated []string) {
	h := comparison{}
	h.values(reflect.ValueOf(old.Engine), reflect.ValueOf(c.Engine), "engine")
	slices.Sort(h.rotated)
	return h.differ, h.rotated
}

type comparison struct {
	differ  bool
	rotated []string
}

// values compares a and b as reflect.DeepEqual does, but for secrets in AWS.
func (h *comparison) values(a, b reflect.Value, path string) {
	switch one := a.Interface().(type) {
	case Secret:
		two := b.Interface().(Secret)
		if one.kept == "" || one.kept != two.kept {
			h.differ = h.differ || one.kept != two.kept || !one.Equal(two)
		} else if !one.Equal(two) {
			h.rotated = append(h.rotated, path)
		}
		return
	case Secrets:
		// The versions from before a rotation come and go.
		before := func(s Secret) bool { return s.previous }
		one, two := slices.DeleteFunc(slices.Clone(one), before), slices.DeleteFunc(slices.Clone(b.Interface().(Secrets)), before)
		a, b = reflect.ValueOf([]Secret(one)), reflect.ValueOf([]Secret(two))
	}
	switch a.Kind() {
	case reflect.Pointer:
		if a.IsNil() || b.IsNil() {
			h.differ = h.differ || a.IsNil() != b.IsNil()
			return
		}
		h.values(a.Elem(), b.Elem(), path)
	case reflect.Struct:
		for i := range a.NumField() {
			key, _, _ := strings.Cut(a.Type().Field(i).Tag.Get("json"), ",")
			h.values(a.Field(i), b.Field(i), join(path, key))
		}
	case reflect.Map:
		h.differ = h.differ || a.Len() != b.Len()
		for _, key := range a.MapKeys() {
			if other := b.MapIndex(key); other.IsValid() {
				h.values(a.MapIndex(key), other, join(path, key.String()))
			} else {
				h.differ = true
			}
		}
	case reflect.Slice:
		if a.Len() != b.Len() {
			h.differ = true
			return
		}
		for i := range a.Len() {
			h.values(a.Index(i), b.Index(i), fmt.Sprintf("%s[%d]", path, i))
		}
	default:
		h.differ = h.differ || !reflect.DeepEqual(a.Interface(), b.Interface())
	}
}

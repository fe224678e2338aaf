package app

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"switchyard/config"
)

// steps is a reloader whose every step is noted, and may fail.
func steps(fail string) (*reloader, *[]string) {
	var done []string
	step := func(name string) error {
		if name == fail {
			return fmt.Errorf("%s does not work", name)
		}
		done = append(done, name)
		return nil
	}
	r := &reloader{
		cfg:    &config.Config{},
		refuse: func(_, _ *config.Config) error { return step("refuse") },
		store:  func(context.Context, *config.Config) error { return step("store") },
	}
	for _, name := range []string{"one", "two", "three"} {
		r.parts = append(r.parts, part{name, func(*config.Config) (func(), error) {
			return func() { done = append(done, "switch "+name) }, step("prepare " + name)
		}})
	}
	return r, &done
}

func TestReloaderSwitchesNothingUnlessAllIsPrepared(t *testing.T) {
	order := []string{"refuse", "prepare one", "prepare two", "prepare three", "store"}
	for i, fail := range order {
		t.Run(fail, func(t *testing.T) {
			r, done := steps(fail)
			before := r.cfg
			err := r.reload(t.Context(), &config.Config{})
			if err == nil || !strings.Contains(err.Error(), fail+" does not work") {
				t.Errorf("error %v", err)
			}
			if !slices.Equal(*done, order[:i]) {
				t.Errorf("did %v, want %v", *done, order[:i])
			}
			if r.cfg != before {
				t.Error("the config counts as applied")
			}
		})
	}
}

func TestReloaderStoresBeforeItSwitchesInOrder(t *testing.T) {
	r, done := steps("")
	cfg := &config.Config{}
	if err := r.reload(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	want := []string{"refuse", "prepare one", "prepare two", "prepare three", "store", "switch one", "switch two", "switch three"}
	if !slices.Equal(*done, want) {
		t.Errorf("did %v, want %v", *done, want)
	}
	if r.cfg != cfg {
		t.Error("the next reload would be compared with the config before")
	}
}

// The error says which part refused the config, and stays what it was.
func TestReloaderNamesThePart(t *testing.T) {
	r, _ := steps("")
	refusal := errors.New("no such repository")
	r.parts = append(r.parts, part{"statuses", func(*config.Config) (func(), error) { return nil, refusal }})
	if err := r.reload(t.Context(), &config.Config{}); !errors.Is(err, refusal) || !strings.HasPrefix(err.Error(), "statuses: ") {
		t.Errorf("error %v", err)
	}
}

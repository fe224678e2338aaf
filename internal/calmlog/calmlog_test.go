package calmlog

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
)

func TestFailuresAreLoggedOnceThenCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		core, lines := observer.New(zap.DebugLevel)
		f := New(zap.New(core), "it fails", "it works again")
		full := errors.New("the disk is full")
		f.Succeeded("write") // nothing has failed
		for range 150 {      // once a second, two steps
			f.Failed("write", full, zap.Int("attempt", 7))
			f.Failed("read", full)
			time.Sleep(time.Second)
		}
		f.Succeeded("write")
		f.Succeeded("write")
		f.Failed("read", full)
		if n := lines.FilterMessage("it works again").Len(); n != 0 {
			t.Errorf("it is said to work again %d times while reading fails", n)
		}
		f.Succeeded("read")
		all := lines.TakeAll()
		want := []struct {
			message string
			fields  map[string]any
		}{
			{"it fails", map[string]any{"step": "write", "error": "the disk is full", "attempt": int64(7)}},
			{"it fails", map[string]any{"failures_not_logged": int64(119), "for": time.Minute}},
			{"it fails", map[string]any{"failures_not_logged": int64(119), "for": 2 * time.Minute}},
			{"it works again", map[string]any{"failures": int64(301), "after": 150 * time.Second}},
		}
		if len(all) != len(want) {
			t.Fatalf("%d lines, want %d: %v", len(all), len(want), all)
		}
		for i, w := range want {
			got := all[i].ContextMap()
			for key, value := range w.fields {
				if got[key] != value {
					t.Errorf("line %d: %s is %v, want %v", i+1, key, got[key], value)
				}
			}
			if all[i].Message != w.message {
				t.Errorf("line %d: %q", i+1, all[i].Message)
			}
		}
		for range 30 { // flapping, within the minute
			f.Failed("write", full)
			f.Succeeded("write")
		}
		if more := lines.TakeAll(); len(more) != 0 {
			t.Errorf("flapping: %v", more)
		}
		time.Sleep(every)
		f.Failed("write", full)
		if again := lines.TakeAll(); len(again) != 1 || again[0].ContextMap()["failures_not_logged"] == nil {
			t.Errorf("a failure later: %v", again)
		}
	})
}

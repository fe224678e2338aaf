package event_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"switchyard/internal/event"
)

func TestOtherNames(t *testing.T) {
	got := event.OtherNames("grace", "", "Grace", " Grace Hopper ", "grace@navy.example", "GRACE HOPPER", " ")
	if d := cmp.Diff([]string{"Grace Hopper", "grace@navy.example"}, got); d != "" {
		t.Error(d)
	}
	many := event.OtherNames("x", "1", "2", "3", "4", "5", "6", "7", "8", "9")
	if len(many) != 8 {
		t.Errorf("%d names are kept", len(many))
	}
}

package app

import (
	"context"
	"fmt"
	"io"
	"testing"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
)

// A repository on which catching up panics costs its own turn, and is told of
// once.
func TestCatchUpGoesOnAfterAPanic(t *testing.T) {
	core, logged := observer.New(zap.InfoLevel)
	c := newHookCatchUp(nil, zap.New(core))
	mended := false
	c.send = func(_ context.Context, path string, said io.Writer) error {
		if path == "bad.git" && !mended {
			panic("no such\nspool")
		}
		_, err := fmt.Fprintln(said, "sent")
		return err
	}
	for _, path := range []string{"bad.git", "good.git", "bad.git"} {
		c.flush(t.Context(), path)
	}
	panics := logged.FilterField(zap.String("panic", `no such\nspool`)).FilterField(zap.String("path", "bad.git"))
	if panics.Len() != 1 || logged.FilterField(zap.String("path", "good.git")).FilterField(zap.String("said", "sent")).Len() != 1 {
		t.Errorf("%+v", logged.All())
	}
	mended = true
	c.flush(t.Context(), "bad.git")
	if logged.FilterField(zap.String("path", "bad.git")).FilterField(zap.String("said", "sent")).Len() != 1 {
		t.Errorf("%+v", logged.All())
	}
}

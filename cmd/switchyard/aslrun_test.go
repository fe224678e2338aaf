package main

import (
	"context"
	"io"
	"strings"
	"testing"
)

// interrupting ends a context once all of it was read.
type interrupting struct {
	io.Reader
	interrupt func()
}

func (r *interrupting) Read(p []byte) (int, error) {
	n, err := r.Reader.Read(p)
	if err == io.EOF {
		r.interrupt()
	}
	return n, err
}

func TestRunEndsWhenInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	in := &interrupting{strings.NewReader(`{"StartAt":"W","States":{"W":{"Type":"Wait","Seconds":3600,"End":true}}}`), cancel}
	var stdout, stderr strings.Builder
	code := run(ctx, []string{"asl", "run", "--definition", "-", "--real-time"}, in, &stdout, &stderr, func(string) (string, bool) { return "", false })
	if code != exitFailed || stdout.Len() > 0 || !strings.Contains(stderr.String(), "interrupted") {
		t.Errorf("exit code %d, stdout %q, stderr %q; want 1 and interrupted", code, &stdout, &stderr)
	}
}

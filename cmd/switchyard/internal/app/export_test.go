package app

import (
	"context"
	"errors"
	"testing"
	"time"

	"switchyard/build"
	"switchyard/config"
	"switchyard/dispatch/stepfn"
)

// CloseListener takes the port away under a service, as no system call of its
// own does.
func (a *App) CloseListener() error { return a.public.Close() }

// Access is what builds may reach.
func (a *App) Access() build.Access { return a.embedded.access }

// Page is the address of an execution's page.
func (a *App) Page(execution string) string { return a.pages.Link(execution) }

// Revisions are the engine's state machines, each with its revision and its
// definition.
func (a *App) Revisions(ctx context.Context) (map[string]string, error) {
	all, err := a.embedded.engine.Catalog().ListMachines(ctx, "", 100)
	found := map[string]string{}
	for _, m := range all {
		found[m.Name] = m.RevisionKey + " " + m.Revision.Definition
	}
	return found, err
}

// ReloadSteps names the steps of a reload that can fail.
func (a *App) ReloadSteps() []string {
	steps := []string{"definitions"}
	for _, p := range a.reloader.parts {
		steps = append(steps, p.name)
	}
	return steps
}

// ErrBroken is what a broken step of a reload fails with.
var ErrBroken = errors.New("broken on purpose")

// BreakReload makes a step fail once it has done its work, until mend is called.
func (a *App) BreakReload(step string) (mend func()) {
	r := a.reloader
	if step == "definitions" {
		was := r.store
		r.store = func(context.Context, *config.Config) error { return ErrBroken }
		return func() { r.store = was }
	}
	for i := range r.parts {
		if p := &r.parts[i]; p.name == step {
			was := p.prepare
			p.prepare = func(cfg *config.Config) (func(), error) {
				if _, err := was(cfg); err != nil {
					return nil, err
				}
				return nil, ErrBroken
			}
			return func() { p.prepare = was }
		}
	}
	panic("no step " + step)
}

// SetClock has f tell the time by now.
func SetClock(f *RotatingFunction, now func() time.Time) { f.now = now }

// RunEmbedded runs an engine until the test ends.
func RunEmbedded(t testing.TB, e *Embedded) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- e.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := errors.Join(<-done, e.Close()); err != nil {
			t.Error(err)
		}
	})
}

// Register stores state machines in an engine.
func Register(ctx context.Context, e *Embedded, definitions map[string]string) (map[string]stepfn.Machine, error) {
	machines := map[string]stepfn.Machine{}
	for name := range definitions {
		machines[name] = stepfn.Machine{ARN: machineARN(name)}
	}
	return machines, e.register(ctx, definitions)
}

// Told has a service take a message that EventBridge sent, as its doors do.
func Told(a *App, text string) error {
	_, err := engineEvents{told: a.told}.DecodeMessage([]byte(text))
	return err
}

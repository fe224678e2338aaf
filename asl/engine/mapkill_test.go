package engine_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"switchyard/asl/catalog"
	"switchyard/asl/distributed"
	"switchyard/asl/engine"
	"switchyard/asl/objects"
	"switchyard/asl/store"
	"switchyard/asl/task"
)

const (
	killedItems       = 5000
	killedConcurrency = 50
)

// killedMap reads its items from a file, works on each in a task and after a
// Wait, and writes its results to files.
var killedMap = distributedMap(killedFields,
	`"StartAt":"T","States":{"T":{"Type":"Task","Resource":"`+fn+`","Next":"W"},"W":{"Type":"Wait","Seconds":0,"End":true}}`)

var killedFields = fmt.Sprintf(`"MaxConcurrency":%d,"ItemReader":{"Resource":"arn:aws:states:::s3:getObject","Parameters":{"Bucket":"b","Key":"items.jsonl"},"ReaderConfig":{"InputType":"JSONL"}},
	"ResultWriter":{"Resource":"arn:aws:states:::s3:putObject","Parameters":{"Bucket":"b"},"WriterConfig":{"Transformation":"COMPACT","OutputType":"JSONL"}},`, killedConcurrency)

func killedEngine(ctx context.Context, dir string, h task.Handler) (*engine.Engine, func() error, error) {
	s, err := store.Open(ctx, filepath.Join(dir, "engine.db"))
	if err != nil {
		return nil, nil, err
	}
	d, err := objects.Open(filepath.Join(dir, "objects"))
	if err != nil {
		return nil, nil, err
	}
	e, err := engine.New(s, engine.Config{}, engine.WithObjects(d), engine.WithHandler(fn, h))
	return e, func() error { _ = d.Close(); return s.Close() }, err
}

// mapVictim runs the engine on the data in dir until it is killed, and tells
// of each item that it works on.
func mapVictim(dir string) error {
	ctx := context.Background()
	e, _, err := killedEngine(ctx, dir, handlerFunc(func(_ context.Context, t task.Task) (json.RawMessage, error) {
		fmt.Println("item", string(t.Input))
		return t.Input, nil
	}))
	if err != nil {
		return err
	}
	m, err := e.Catalog().CreateMachine(ctx, catalog.NewMachine{Name: "m", Definition: killedMap, RoleARN: "r"})
	if err != nil {
		return err
	}
	go func() {
		if _, err := e.StartExecution(ctx, engine.Start{MachineARN: m.ARN, Name: "x"}); err != nil {
			fmt.Println("start:", err) // in all processes but the first it is there already
		}
	}()
	return e.Run(ctx)
}

// TestKilledMapRunTakesEachItemOnce kills the process at random moments of a
// Map run. Each item must have one execution, and one line in the results.
func TestKilledMapRunTakesEachItemOnce(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds of real time")
	}
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "objects", "b"), 0o750); err != nil {
		t.Fatal(err)
	}
	var lines strings.Builder
	for i := range killedItems {
		fmt.Fprintln(&lines, i)
	}
	if err := os.WriteFile(filepath.Join(dir, "objects", "b", "items.jsonl"), []byte(lines.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	worked := 0
	for range 6 {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), "ENGINE_TEST_MAP="+dir)
		cmd.Stderr = os.Stderr
		stdout, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		said := bufio.NewScanner(stdout)
		for left := 100 + rand.IntN(600); said.Scan(); {
			if !strings.HasPrefix(said.Text(), "item ") {
				continue
			}
			worked++
			if left--; left == 0 {
				_ = cmd.Process.Kill()
			}
		}
		if err := cmd.Wait(); err == nil {
			t.Error("the process ended by itself")
		}
	}
	e, closeAll, err := killedEngine(t.Context(), dir, handlerFunc(func(_ context.Context, t task.Task) (json.RawMessage, error) {
		return t.Input, nil
	}))
	if err != nil {
		t.Fatal(err)
	}
	stop := run(t, e)
	defer func() {
		stop()
		if err := closeAll(); err != nil {
			t.Error(err)
		}
	}()
	x := wait(t, e, "arn:aws:states:us-east-1:123456789012:execution:m:x")
	if x.Status != store.Succeeded {
		t.Fatalf("%s %s %s", x.Status, x.Error, x.Cause)
	}
	t.Logf("%d items were begun before the kills", worked)
	list := mapRuns(t, e, x.ARN)
	if want := (distributed.Counts{Succeeded: killedItems, Total: killedItems, ResultsWritten: killedItems}); len(list) != 1 || list[0].Items != want || list[0].Children != want {
		t.Fatalf("%d runs: %+v", len(list), list[0])
	}
	if n := len(children(t, e, list[0].ARN)); n != killedItems {
		t.Errorf("%d children, want %d", n, killedItems)
	}
	results, err := os.ReadFile(filepath.Join(dir, "objects", "b", list[0].ID(), "SUCCEEDED_0.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	if string(results) != lines.String() {
		t.Errorf("the results are not the items: %d bytes, want %d", len(results), lines.Len())
	}
}

// TestMapRunHoldsWhatIsActive watches the memory of a Map run of 3,000 large
// items: it must not grow with what is done.
func TestMapRunHoldsWhatIsActive(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds of real time")
	}
	const items = 3000
	dir := t.TempDir()
	d, err := objects.Open(filepath.Join(dir, "objects"))
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	line := `"` + strings.Repeat("x", 10_000) + "\"\n"
	if err := os.MkdirAll(filepath.Join(dir, "objects", "b"), 0o750); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "objects", "b", "items.jsonl"), []byte(strings.Repeat(line, items)), 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := store.Open(t.Context(), filepath.Join(dir, "engine.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	e := newEngine(t, s, engine.WithObjects(d))
	defer run(t, e)()
	var before, now runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	arn := start(t, e, machine(t, e, "m", distributedMap(killedFields, passItem)), "x", "{}")
	most, looks := uint64(0), 0
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for describe(t, e, arn).Status == store.Running {
		<-tick.C
		// What is held is there at each look; what a busy machine let go between a
		// collection and the look after it is not.
		held := uint64(math.MaxUint64)
		for range 3 {
			runtime.GC()
			runtime.ReadMemStats(&now)
			held = min(held, now.HeapAlloc-min(now.HeapAlloc, before.HeapAlloc))
		}
		most = max(most, held)
		looks++
	}
	if x := describe(t, e, arn); x.Status != store.Succeeded {
		t.Fatalf("%s %s %s", x.Status, x.Error, x.Cause)
	}
	t.Logf("at most %d KB over %d looks, for %d MB of items", most>>10, looks, len(line)*items>>20)
	if most > 16<<20 {
		t.Errorf("%d bytes were held", most)
	}
}

package catalog_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"switchyard/asl/arns"
	"switchyard/asl/catalog"
	"switchyard/asl/store"
)

const role = "arn:aws:iam::123456789012:role/r"

var names = arns.New("eu-west-1", "123456789012")

func open(t *testing.T, s store.Store) *catalog.Catalog {
	t.Helper()
	now := time.UnixMilli(1_700_000_000_000)
	c, err := catalog.New(t.Context(), s, names, func() time.Time { return now }, func() float64 { return 0.5 })
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// passing is a definition that differs from others by n.
func passing(n int) string {
	return fmt.Sprintf(`{"StartAt":"P","States":{"P":{"Type":"Pass","Result":%d,"End":true}}}`, n)
}

func create(t *testing.T, c *catalog.Catalog, name string) *catalog.Machine {
	t.Helper()
	m, err := c.CreateMachine(t.Context(), catalog.NewMachine{Name: name, Definition: passing(0), RoleARN: role})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// update gives the machine its n-th definition, and returns the revision's key.
func update(t *testing.T, c *catalog.Catalog, m *catalog.Machine, n int, publish bool) string {
	t.Helper()
	definition := passing(n)
	now, err := c.UpdateMachine(t.Context(), m.ARN, catalog.MachineUpdate{Definition: &definition, Publish: publish})
	if err != nil {
		t.Fatal(err)
	}
	return now.RevisionKey
}

func begun(t *testing.T, s store.Store, id int64, machine, revision string) {
	t.Helper()
	err := store.Do(context.Background(), s, &store.Write{Exec: id, Create: &store.Execution{ID: id, Machine: machine, Name: fmt.Sprint("x", id), Revision: revision}})
	if err != nil {
		t.Fatal(err)
	}
}

func TestRevisionsThatNothingRefersToAreForgotten(t *testing.T) {
	s := store.NewMemory()
	c := open(t, s)
	m, other := create(t, c, "m"), create(t, c, "m2")
	keys := map[string]string{"the first, of an execution": m.RevisionKey, "of another machine": other.RevisionKey}
	begun(t, s, 1, "m", m.RevisionKey)
	keys["of a version"] = update(t, c, m, 1, true)
	keys["of a child of a Map run"] = update(t, c, m, 2, false)
	begun(t, s, 2, "m/L:7", keys["of a child of a Map run"])
	unused := update(t, c, m, 3, false)
	late := update(t, c, m, 4, false)
	keys["the present"] = update(t, c, m, 5, false)

	prune := func(want int) {
		t.Helper()
		if n, err := c.PruneRevisions(t.Context()); err != nil || n != want {
			t.Fatalf("pruned %d, %v, want %d", n, err, want)
		}
	}
	prune(0)
	begun(t, s, 3, "m", late) // an execution that was being started
	prune(1)
	prune(0)
	keys["of an execution that began meanwhile"] = late
	for what, key := range keys {
		if _, err := c.Revision(t.Context(), key); err != nil {
			t.Errorf("the revision %s: %v", what, err)
		}
	}
	if _, err := c.Revision(t.Context(), unused); err == nil {
		t.Error("what nothing refers to is still there")
	}

	if err := c.DeleteMachine(t.Context(), other.ARN); err != nil {
		t.Fatal(err)
	}
	prune(0)
	prune(1)
	if _, err := c.Revision(t.Context(), other.RevisionKey); err == nil {
		t.Error("the revision of a deleted machine is still there")
	}
}

func TestManyRevisionsAreGoneThrough(t *testing.T) {
	c := open(t, store.NewMemory())
	m := create(t, c, "m")
	const updates = 250 // more than are read at a time
	for n := 1; n <= updates; n++ {
		update(t, c, m, n, false)
	}
	if n, err := c.PruneRevisions(t.Context()); err != nil || n != 0 {
		t.Fatal(n, err)
	}
	if n, err := c.PruneRevisions(t.Context()); err != nil || n != updates {
		t.Errorf("pruned %d, %v, want %d", n, err, updates)
	}
}

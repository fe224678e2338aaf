//go:build unix && !linux

// Package cgroup is about a part of Linux; elsewhere there is nothing of it.
package cgroup

import "errors"

// Limits are those of one group.
type Limits struct {
	Memory int64
	Tasks  int
}

// Tree does not exist.
type Tree struct{}

// Open always fails.
func Open(string, string) (*Tree, error) { return nil, errors.New("this system has no cgroups") }

// Version is 0.
func (t *Tree) Version() int { return 0 }

// Close does nothing.
func (t *Tree) Close() error { return nil }

// New always fails.
func (t *Tree) New(string, Limits) (*Group, error) { return nil, errors.ErrUnsupported }

// Group does not exist.
type Group struct{}

// Procs is empty.
func (g *Group) Procs() []string { return nil }

// MemoryExceeded is false.
func (g *Group) MemoryExceeded() bool { return false }

// TasksExceeded is false.
func (g *Group) TasksExceeded() bool { return false }

// End does nothing.
func (g *Group) End() error { return nil }

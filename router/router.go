// Package router decides which executions an event asks for.
//
// It is a pure function of event and routes: no context, clock, logger or I/O.
// The same event and config give the same plan, byte for byte, today and after
// a restart.
package router

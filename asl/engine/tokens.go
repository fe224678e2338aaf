package engine

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"

	"switchyard/asl"
	"switchyard/asl/apierror"
	"switchyard/asl/history"
	"switchyard/asl/store"
	"switchyard/asl/task"
	"switchyard/asl/value"
)

// tokenSuffix marks a Task state that ends when somebody gives back its token.
const tokenSuffix = ".waitForTaskToken"

func wantsToken(s *asl.State) bool {
	return s != nil && s.Task != nil && strings.HasSuffix(s.Task.Resource, tokenSuffix)
}

// tokenSeal is how many bytes of a token show that it came from here.
const tokenSeal = 26

// tokenPlain is how many bytes of it say what it is for.
const tokenPlain = 28

// tokenEncoding refuses what it would not write itself, so that no two texts
// are the same token.
var tokenEncoding = base64.RawURLEncoding.Strict()

// taskRef names an attempt at a task.
type taskRef struct {
	exec    int64
	branch  int64
	entered int64 // ID of the event that entered the state
	attempt int
	// at is when the state was entered, in Unix milliseconds: the states of a
	// branch without history share an event. Above redriveShift it counts the
	// redrives, for they neither enter the state anew nor go on with attempts.
	at int64
}

// redriveShift leaves room for the times of the next nine thousand years.
const redriveShift = 48

func (x *execution) ref(b *branch) taskRef {
	return taskRef{x.id, b.id, b.entered, b.attempt, b.enteredAt | int64(x.attrs.Redrives)<<redriveShift}
}

// kindSecret is the document that holds the key of the tokens' seals.
const (
	kindSecret  = "secret"
	tokenSecret = "task-tokens"
)

// loadSecret reads the key that seals tokens, and makes it with a new store.
func (e *Engine) loadSecret(ctx context.Context) (err error) {
	e.secret, err = e.store.Doc(ctx, kindSecret, tokenSecret)
	if !errors.Is(err, store.ErrNotFound) {
		return err
	}
	e.secret = make([]byte, sha256.Size)
	_, _ = rand.Read(e.secret) // never fails: it ends the process instead
	return store.Do(ctx, e.store, &store.Write{Docs: []store.Doc{{Kind: kindSecret, Key: tokenSecret, Body: e.secret}}})
}

// token makes the token of an attempt. It leads to the execution and the
// branch by itself, so that no index of tokens is kept, and is the same after
// a restart; without the store's secret nobody can make it.
func (e *Engine) token(r taskRef) string {
	raw := make([]byte, 0, tokenPlain+sha256.Size)
	raw = binary.BigEndian.AppendUint64(raw, uint64(r.exec))
	for _, n := range [...]int64{r.branch, r.entered, int64(r.attempt)} {
		raw = binary.BigEndian.AppendUint32(raw, uint32(n))
	}
	raw = binary.BigEndian.AppendUint64(raw, uint64(r.at))
	return tokenEncoding.EncodeToString(e.seal(raw))
}

// seal adds the seal to a token's plain part.
func (e *Engine) seal(raw []byte) []byte {
	mac := hmac.New(sha256.New, e.secret)
	mac.Write(raw)
	return append(raw, mac.Sum(nil)[:tokenSeal]...)
}

func (e *Engine) readToken(token string) (r taskRef, ok bool) {
	if len(token) != tokenEncoding.EncodedLen(tokenPlain+tokenSeal) { // else line ends, which are skipped
		return taskRef{}, false
	}
	raw, err := tokenEncoding.DecodeString(token)
	if err != nil || len(raw) != tokenPlain+tokenSeal || !hmac.Equal(raw, e.seal(raw[:tokenPlain:tokenPlain])) {
		return taskRef{}, false
	}
	return taskRef{
		exec: int64(binary.BigEndian.Uint64(raw)), branch: int64(binary.BigEndian.Uint32(raw[8:])),
		entered: int64(binary.BigEndian.Uint32(raw[12:])), attempt: int(binary.BigEndian.Uint32(raw[16:])),
		at: int64(binary.BigEndian.Uint64(raw[20:])),
	}, true
}

// tokenMessage is what the holder of a token says.
type tokenMessage struct {
	ref taskRef
	// beat is a sign of life; else the task has ended, well or with failure.
	beat    bool
	output  value.Value
	failure *task.Error
}

// awaitToken lets b wait for the holder of its token.
func (x *execution) awaitToken(b *branch, beat int64) {
	b.phase, b.beat, b.effective = phaseToken, beat, value.Value{}
	x.mark(b)
	x.watch(b, beat)
}

func (x *execution) tokenOverdue(b *branch, now int64) {
	name, cause := b.overdue(b.beat, now)
	if cause == nil {
		x.watch(b, b.beat)
		return
	}
	x.taskTimedOut(b, name)
}

// tokenUsed takes what the holder of a token says. It is false when the
// attempt is not waited for any more.
func (x *execution) tokenUsed(m *tokenMessage) bool {
	b := x.branches[m.ref.branch]
	if b == nil || b.over() || b.done() || x.ref(b) != m.ref || b.phase != phaseToken && (b.phase != phaseTask || !wantsToken(b.state)) {
		return false
	}
	r := x.running[b.id]
	if m.beat {
		b.beat = x.now()
		if r != nil {
			r.lastBeat.Store(b.beat)
		}
		x.mark(b)
		x.watch(b, b.beat)
		return true
	}
	if r != nil {
		// The holder was faster than the handler that handed the token out;
		// that one may finish, but nobody asks for what it says.
		delete(x.running, b.id)
		r.abandoned.Store(true)
	}
	b.due = 0
	f := familyOf(b.state.Task.Resource)
	ev := history.Event{Type: f.succeeded, Has: f.has, ResourceType: f.resourceType, Resource: f.resource}
	if m.failure != nil {
		ev.Type, ev.Has, ev.Error, ev.Cause = f.failed, ev.Has|history.HasError|history.HasCause, m.failure.Name, m.failure.Cause
		x.follow(b, &ev)
		x.stateFailed(b, &asl.Error{Name: m.failure.Name, Cause: m.failure.Cause})
		return true
	}
	ev.Has, ev.Data = ev.Has|history.HasData, m.output.JSON()
	x.follow(b, &ev)
	if err := x.complete(b, m.output); err != nil {
		x.stateFailed(b, x.located(b, err))
	}
	return true
}

// SendTaskSuccess ends the task that the token is for, with a JSON text as its
// output, and returns once that is durable.
func (e *Engine) SendTaskSuccess(ctx context.Context, token, output string) error {
	if len(output) > asl.MaxData {
		return apierror.New(apierror.CodeInvalidOutput, "Invalid Output: 'The output is %d bytes long, at most %d are allowed'", len(output), asl.MaxData)
	}
	v, err := value.ParseString(output)
	if err != nil {
		return apierror.New(apierror.CodeInvalidOutput, "Invalid Output: '%s'", err)
	}
	return e.sendToken(ctx, token, &tokenMessage{output: v})
}

// SendTaskFailure fails the task that the token is for.
func (e *Engine) SendTaskFailure(ctx context.Context, token, errorName, cause string) error {
	if errorName == "" {
		errorName = asl.ErrTaskFailed
	}
	return e.sendToken(ctx, token, &tokenMessage{failure: &task.Error{Name: errorName, Cause: cause}})
}

// SendTaskHeartbeat tells that the task the token is for is still worked on.
func (e *Engine) SendTaskHeartbeat(ctx context.Context, token string) error {
	return e.sendToken(ctx, token, &tokenMessage{beat: true})
}

// sendToken says m to the execution that waits for it, and returns once what
// follows from it is durable.
func (e *Engine) sendToken(ctx context.Context, token string, m *tokenMessage) error {
	var ok bool
	if m.ref, ok = e.readToken(token); !ok {
		return apierror.New(apierror.CodeInvalidToken, "Invalid Token: 'Invalid token'")
	}
	timedOut := &apierror.Error{Code: apierror.CodeTaskTimedOut, Message: "Task Timed Out: 'Provided task does not exist anymore'"}
	answer := make(chan error, 1)
	e.post(m.ref.exec, message{
		kind: msgCall,
		call: func(x *execution) {
			if x.end != nil || !x.tokenUsed(m) {
				answer <- timedOut
				return
			}
			x.then(func() { answer <- nil })
		},
		gone: func(there bool) {
			if there {
				answer <- timedOut
				return
			}
			answer <- apierror.New(apierror.CodeTaskDoesNotExist, "Task Does Not Exist: 'Provided task does not exist'")
		},
	})
	select {
	case err := <-answer:
		return err
	case <-e.ended:
		return errStopping
	case <-ctx.Done():
		return apierror.Unavailable(fmt.Errorf("use task token: %w", context.Cause(ctx)))
	}
}

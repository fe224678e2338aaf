package engine

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"strings"

	"switchyard/asl"
	"switchyard/asl/task"
	"switchyard/asl/value"
)

// tokenSuffix marks a Task state that ends when somebody gives back its token.
const tokenSuffix = ".waitForTaskToken"

func wantsToken(s *asl.State) bool {
	return s != nil && s.Task != nil && strings.HasSuffix(s.Task.Resource, tokenSuffix)
}

// tokenMessage is what the holder of a token says.
type tokenMessage struct {
	branch int64
	token  string
	// beat is a sign of life; else the task has ended, well or with failure.
	beat    bool
	output  value.Value
	failure *task.Error
	answer  chan error // capacity 1
}

var errTokenGone = &Error{Code: CodeTaskTimedOut, Message: "Task Timed Out: 'Provided task does not exist anymore'"}

// token names the attempt that b is at. It leads to the execution and the
// branch by itself, so that no index of tokens is kept; its second half shows
// that it came from here. It is the same after a restart.
func (x *execution) token(b *branch) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%s %d %d %d %d", x.arn(), x.rec.Started, b.id, b.entered, b.attempt))
	return base64.RawURLEncoding.EncodeToString(fmt.Appendf(nil, "%d.%d.%s", x.id, b.id, hex.EncodeToString(sum[:])))
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

// tokenUsed takes what the holder of a token says. The holder is answered once
// that is durable.
func (x *execution) tokenUsed(m *tokenMessage) {
	b := x.branches[m.branch]
	if x.end != nil || b == nil || b.over() || !wantsToken(b.state) || b.phase != phaseTask && b.phase != phaseToken ||
		subtle.ConstantTimeCompare([]byte(x.token(b)), []byte(m.token)) == 0 {
		m.answer <- errTokenGone
		return
	}
	x.answers = append(x.answers, m.answer)
	r := x.running[b.id]
	if m.beat {
		b.beat = x.now()
		if r != nil {
			r.lastBeat.Store(b.beat)
		}
		x.mark(b)
		x.watch(b, b.beat)
		return
	}
	if r != nil {
		// The holder was faster than the handler that handed the token out;
		// that one may finish, but nobody asks for what it says.
		delete(x.running, b.id)
		r.abandoned.Store(true)
	}
	b.due = 0
	f := familyOf(b.state.Task.Resource)
	ev := Event{Type: f.succeeded, Has: f.has, ResourceType: f.resourceType, Resource: f.resource}
	if m.failure != nil {
		ev.Type, ev.Has, ev.Error, ev.Cause = f.failed, ev.Has|HasError|HasCause, m.failure.Name, m.failure.Cause
		x.follow(b, &ev)
		x.stateFailed(b, &asl.Error{Name: m.failure.Name, Cause: m.failure.Cause})
		return
	}
	ev.Has, ev.Data = ev.Has|HasData, m.output.JSON()
	x.follow(b, &ev)
	if err := x.complete(b, m.output); err != nil {
		x.stateFailed(b, x.located(b, err))
	}
}

// answer tells the holders of tokens that what they said is durable.
func (x *execution) answer() {
	for _, c := range x.answers {
		c <- nil
	}
	clear(x.answers)
	x.answers = x.answers[:0]
}

// SendTaskSuccess ends the task that the token is for, with a JSON text as its
// output, and returns once that is durable.
func (e *Engine) SendTaskSuccess(ctx context.Context, token, output string) error {
	if len(output) > MaxData {
		return fail(CodeInvalidOutput, "Invalid Output: 'The output is %d bytes long, at most %d are allowed'", len(output), MaxData)
	}
	v, err := value.ParseString(output)
	if err != nil {
		return fail(CodeInvalidOutput, "Invalid Output: '%s'", err)
	}
	return e.sendToken(ctx, &tokenMessage{token: token, output: v})
}

// SendTaskFailure fails the task that the token is for.
func (e *Engine) SendTaskFailure(ctx context.Context, token, errorName, cause string) error {
	if errorName == "" {
		errorName = asl.ErrTaskFailed
	}
	return e.sendToken(ctx, &tokenMessage{token: token, failure: &task.Error{Name: errorName, Cause: cause}})
}

// SendTaskHeartbeat tells that the task the token is for is still worked on.
func (e *Engine) SendTaskHeartbeat(ctx context.Context, token string) error {
	return e.sendToken(ctx, &tokenMessage{token: token, beat: true})
}

func (e *Engine) sendToken(ctx context.Context, m *tokenMessage) error {
	var exec int64
	var sum string
	raw, err := base64.RawURLEncoding.DecodeString(m.token)
	if err == nil {
		_, err = fmt.Sscanf(string(raw), "%d.%d.%s", &exec, &m.branch, &sum)
	}
	if err != nil || exec < 1 || len(sum) != hex.EncodedLen(sha256.Size) {
		return fail(CodeInvalidToken, "Invalid Token: 'Invalid token'")
	}
	m.answer = make(chan error, 1)
	e.post(exec, message{kind: msgToken, token: m})
	select {
	case err := <-m.answer:
		return err
	case <-e.stopped:
		return &Error{Code: CodeServiceUnavailable, Message: "the engine is shutting down; try again"}
	case <-ctx.Done():
		return internal(fmt.Errorf("use task token: %w", context.Cause(ctx)))
	}
}

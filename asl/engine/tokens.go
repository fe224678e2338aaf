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

	"switchyard/asl"
	"switchyard/asl/apierror"
	"switchyard/asl/run"
	"switchyard/asl/store"
	"switchyard/asl/value"
)

// tokenSeal is how many bytes of a token show that it came from here.
const tokenSeal = 26

// tokenPlain is how many bytes of it say what it is for.
const tokenPlain = 28

// tokenEncoding refuses what it would not write itself, so that no two texts
// are the same token.
var tokenEncoding = base64.RawURLEncoding.Strict()

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
func (e *Engine) token(r run.TaskRef) string {
	raw := make([]byte, 0, tokenPlain+sha256.Size)
	raw = binary.BigEndian.AppendUint64(raw, uint64(r.Exec))
	for _, n := range [...]int64{r.Branch, r.Entered, int64(r.Attempt)} {
		raw = binary.BigEndian.AppendUint32(raw, uint32(n))
	}
	raw = binary.BigEndian.AppendUint64(raw, uint64(r.At))
	return tokenEncoding.EncodeToString(e.seal(raw))
}

// seal adds the seal to a token's plain part.
func (e *Engine) seal(raw []byte) []byte {
	mac := hmac.New(sha256.New, e.secret)
	mac.Write(raw)
	return append(raw, mac.Sum(nil)[:tokenSeal]...)
}

func (e *Engine) readToken(token string) (r run.TaskRef, ok bool) {
	if len(token) != tokenEncoding.EncodedLen(tokenPlain+tokenSeal) { // else line ends, which are skipped
		return run.TaskRef{}, false
	}
	raw, err := tokenEncoding.DecodeString(token)
	if err != nil || len(raw) != tokenPlain+tokenSeal || !hmac.Equal(raw, e.seal(raw[:tokenPlain:tokenPlain])) {
		return run.TaskRef{}, false
	}
	return run.TaskRef{
		Exec: int64(binary.BigEndian.Uint64(raw)), Branch: int64(binary.BigEndian.Uint32(raw[8:])),
		Entered: int64(binary.BigEndian.Uint32(raw[12:])), Attempt: int(binary.BigEndian.Uint32(raw[16:])),
		At: int64(binary.BigEndian.Uint64(raw[20:])),
	}, true
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
	return e.sendToken(ctx, token, &run.TokenUse{Output: v})
}

// SendTaskFailure fails the task that the token is for.
func (e *Engine) SendTaskFailure(ctx context.Context, token, errorName, cause string) error {
	if errorName == "" {
		errorName = asl.ErrTaskFailed
	}
	return e.sendToken(ctx, token, &run.TokenUse{Failure: &asl.Error{Name: errorName, Cause: cause}})
}

// SendTaskHeartbeat tells that the task the token is for is still worked on.
func (e *Engine) SendTaskHeartbeat(ctx context.Context, token string) error {
	return e.sendToken(ctx, token, &run.TokenUse{Beat: true})
}

// sendToken says m to the execution that waits for it, and returns once what
// follows from it is durable.
func (e *Engine) sendToken(ctx context.Context, token string, m *run.TokenUse) error {
	var ok bool
	if m.Ref, ok = e.readToken(token); !ok {
		return apierror.New(apierror.CodeInvalidToken, "Invalid Token: 'Invalid token'")
	}
	timedOut := &apierror.Error{Code: apierror.CodeTaskTimedOut, Message: "Task Timed Out: 'Provided task does not exist anymore'"}
	answer := make(chan error, 1)
	e.post(m.Ref.Exec, letter{
		message: m,
		answer: func(r run.Reply) {
			if r.Accepted {
				answer <- nil
			} else {
				answer <- timedOut
			}
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

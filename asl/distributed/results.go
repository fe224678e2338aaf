package distributed

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"switchyard/asl"
	"switchyard/asl/arns"
	"switchyard/asl/store"
	"switchyard/asl/value"
)

// resultEntry is a child execution as results show it, with the members in the
// order in which Step Functions writes them.
type resultEntry struct {
	Cause               string   `json:",omitempty"`
	Error               string   `json:",omitempty"`
	ExecutionArn        string   `json:",omitempty"`
	Input               string   `json:""`
	InputDetails        included `json:""`
	Name                string   `json:",omitempty"`
	Output              *string  `json:",omitempty"`
	OutputDetails       included `json:""`
	RedriveCount        int      `json:""`
	RedriveStatus       string   `json:",omitempty"`
	RedriveStatusReason string   `json:",omitempty"`
	StartDate           string   `json:",omitempty"`
	StateMachineArn     string   `json:""`
	Status              string   `json:""`
	StopDate            string   `json:",omitempty"`
}

type included struct {
	Included bool
}

func (r *mapRun) entry(x *store.Execution) (resultEntry, error) {
	var attrs struct {
		Redrives int `json:"redrives"`
	}
	if err := json.Unmarshal(x.Attrs, &attrs); err != nil {
		return resultEntry{}, fmt.Errorf("decode attributes of execution %s of %s: %w", x.Name, x.Machine, err)
	}
	e := resultEntry{
		Cause: x.Cause, Error: x.Error, ExecutionArn: r.c.names.Execution(x.Machine, x.Name), Name: x.Name,
		Input: string(x.Input), InputDetails: included{true}, OutputDetails: included{true},
		RedriveCount: attrs.Redrives, RedriveStatus: "REDRIVABLE_BY_MAP_RUN", StartDate: asl.Timestamp(x.Started),
		StateMachineArn: r.c.names.Machine(x.Machine), Status: x.Status.String(), StopDate: asl.Timestamp(x.Stopped),
	}
	if x.Status == store.Succeeded {
		output := string(x.Output)
		e.Output = &output
		e.RedriveStatus, e.RedriveStatusReason = "NOT_REDRIVABLE", "Execution is SUCCEEDED and cannot be redriven"
	}
	return e, nil
}

// appendEntry writes an entry as JSON, without the escapes that are meant for
// HTML.
func appendEntry(dst []byte, e resultEntry) ([]byte, error) {
	buf := bytes.NewBuffer(dst)
	enc := json.NewEncoder(buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(e); err != nil {
		return dst, err
	}
	return bytes.TrimSuffix(buf.Bytes(), []byte("\n")), nil
}

// each hands the JSON texts that stand for a child to add. A child that failed
// is shown whole in every format.
func (r *mapRun) each(x *store.Execution, add func([]byte) error) error {
	w := r.work.Writing
	if x.Status != store.Succeeded || w.Transformation == "NONE" {
		e, err := r.entry(x)
		if err != nil {
			return err
		}
		text, err := appendEntry(nil, e)
		if err != nil {
			return err
		}
		return add(text)
	}
	if w.Transformation == "FLATTEN" {
		v, err := value.Parse(x.Output)
		if err != nil {
			return err
		}
		if v.Kind() == value.Array {
			for _, elem := range v.Slice() {
				if err := add([]byte(elem.JSON())); err != nil {
					return err
				}
			}
			return nil
		}
	}
	return add(x.Output)
}

// results gives the result of the Map state, and writes the children's where
// they belong. Doing that again writes the same.
func (r *mapRun) results(ctx context.Context, failed bool) (json.RawMessage, error) {
	if r.work.Writing.Export {
		return r.export(ctx, failed)
	}
	if failed {
		return nil, nil
	}
	out := []byte{'['}
	err := r.inOrder(ctx, func(x *store.Execution) error {
		return r.each(x, func(text []byte) error {
			if len(out) > 1 {
				out = append(out, ',')
			}
			if out = append(out, text...); len(out) >= asl.MaxData {
				return asl.TooLarge(r.work.State.Name)
			}
			return nil
		})
	})
	return append(out, ']'), err
}

// inOrder calls f with every child that was started, in the order of the
// items. It holds one at a time.
func (r *mapRun) inOrder(ctx context.Context, f func(*store.Execution) error) error {
	for i := 0; i < 64*len(r.started); i++ {
		if !r.has(i) {
			continue
		}
		x, err := r.c.store.Execution(ctx, r.work.Key, arns.ChildName(r.work.ID, i))
		if err == nil {
			err = f(x)
		}
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// resultFile is an entry of the manifest.
type resultFile struct {
	Key  string
	Size int64
}

type resultFiles struct {
	Failed    []resultFile `json:"FAILED"`
	Pending   []resultFile `json:"PENDING"`
	Succeeded []resultFile `json:"SUCCEEDED"`
}

// export writes one object for each kind of end that there was, and last the
// manifest that names them.
func (r *mapRun) export(ctx context.Context, failed bool) (json.RawMessage, error) {
	w := r.work.Writing
	if r.c.objects == nil {
		return nil, asl.WriterFailed("This engine has nowhere to write results: set engine.embedded.objects in the configuration to a folder for them.")
	}
	folder := r.work.ID + "/"
	if w.Prefix != "" {
		folder = strings.TrimSuffix(w.Prefix, "/") + "/" + folder
	}
	none := []resultFile{}
	files := resultFiles{none, none, none}
	r.mu.Lock()
	succeeded := r.children.Succeeded
	ended := succeeded + r.children.Failed + r.children.TimedOut + r.children.Aborted
	r.mu.Unlock()
	for _, f := range []struct {
		name string
		to   *[]resultFile
		some bool
		each func(add func([]byte) error) error
	}{
		{"SUCCEEDED", &files.Succeeded, succeeded > 0, func(add func([]byte) error) error {
			return r.inOrder(ctx, func(x *store.Execution) error {
				if x.Status != store.Succeeded {
					return nil
				}
				return r.each(x, add)
			})
		}},
		{"FAILED", &files.Failed, ended > succeeded, func(add func([]byte) error) error {
			return r.inOrder(ctx, func(x *store.Execution) error {
				if x.Status == store.Succeeded {
					return nil
				}
				return r.each(x, add)
			})
		}},
		{"PENDING", &files.Pending, failed, r.pending},
	} {
		if !f.some {
			continue
		}
		key := folder + f.name + "_0.json"
		if w.Lines {
			key += "l"
		}
		n := 0
		var inner error
		size, err := r.c.objects.Put(ctx, w.Bucket, key, func(to io.Writer) error {
			n, inner = writeResults(to, w.Lines, f.each)
			return inner
		})
		switch {
		case inner != nil:
			return nil, inner
		case err != nil:
			return nil, asl.WriterFailed("Cannot write results: %v", err)
		}
		if n > 0 {
			*f.to = append(*f.to, resultFile{key, size})
		}
	}
	manifest, err := json.Marshal(struct {
		DestinationBucket string
		MapRunArn         string
		ResultFiles       resultFiles
	}{w.Bucket, r.arn(), files})
	if err != nil {
		return nil, err
	}
	key := folder + "manifest.json"
	if _, err := r.c.objects.Put(ctx, w.Bucket, key, func(to io.Writer) error {
		_, err := to.Write(manifest)
		return err
	}); err != nil {
		return nil, asl.WriterFailed("Cannot write results: %v", err)
	}
	r.mu.Lock()
	r.children.ResultsWritten = ended
	r.items.ResultsWritten = r.items.Succeeded + r.items.Failed + r.items.TimedOut + r.items.Aborted
	r.mu.Unlock()
	return json.Marshal(struct {
		MapRunArn           string
		ResultWriterDetails struct{ Bucket, Key string }
	}{r.arn(), struct{ Bucket, Key string }{w.Bucket, key}})
}

// writeResults writes JSON texts as an array or as lines, and counts them.
func writeResults(to io.Writer, lines bool, each func(add func([]byte) error) error) (n int, err error) {
	buf := bufio.NewWriterSize(to, readBuffer)
	open, between, end := "[", ",", "]"
	if lines {
		open, between, end = "", "\n", "\n"
	}
	// The buffer keeps its first error, and Flush gives it.
	_, _ = buf.WriteString(open)
	err = each(func(text []byte) error {
		if n++; n > 1 {
			_, _ = buf.WriteString(between)
		}
		_, err := buf.Write(text)
		return err
	})
	if err != nil {
		return n, err
	}
	_, _ = buf.WriteString(end)
	return n, buf.Flush()
}

// pending gives the children that were never started. Items that cannot be read
// are why the run failed, so they end the list without an error.
func (r *mapRun) pending(add func([]byte) error) error {
	for b, err := range r.batches() {
		if err != nil {
			return nil //nolint:nilerr // see above
		}
		if r.has(b.index) {
			continue
		}
		text, err := appendEntry(nil, resultEntry{
			Input: b.input.JSON(), InputDetails: included{true}, OutputDetails: included{true},
			StateMachineArn: r.c.names.Machine(r.work.Key), Status: "PENDING",
		})
		if err == nil {
			err = add(text)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

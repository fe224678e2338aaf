package distributed

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"slices"
	"strconv"
	"strings"

	"switchyard/asl"
	"switchyard/asl/value"
)

const (
	// maxItem is the most bytes of a file that one item may take: the limit
	// on what is held of a file at a time. An execution's input is smaller.
	maxItem    = 8 << 20
	readBuffer = 64 << 10
	// maxHeaders is how long the header of a CSV file may be, in bytes.
	maxHeaders = 10 << 10
)

var errItemTooLarge = errors.New("the item is too large")

// mapItem is an item of a distributed Map. Only those of an object have a key.
type mapItem struct {
	key   string
	keyed bool
	value value.Value
}

// input is what a child execution is given when there is no ItemSelector.
func (it mapItem) input() value.Value {
	if !it.keyed {
		return it.value
	}
	return value.OfObject(value.Field{Key: "Key", Value: value.OfString(it.key)}, value.Field{Key: "Value", Value: it.value})
}

// context is $$.Map.Item.
func (it mapItem) context(index int64) value.Value {
	fields := []value.Field{{Key: "Index", Value: value.OfInt(index)}, {Key: "Value", Value: it.value}}
	if it.keyed {
		fields = append(fields, value.Field{Key: "Key", Value: value.OfString(it.key)})
	}
	return value.OfObject(fields...)
}

// itemSource gives the items in order. It may be gone through several times,
// and holds one item at a time; it ends after the first error.
type itemSource iter.Seq2[mapItem, error]

func arraySource(items []value.Value) itemSource {
	return func(yield func(mapItem, error) bool) {
		for _, v := range items {
			if !yield(mapItem{value: v}, nil) {
				return
			}
		}
	}
}

// first gives n items at most; 0 is all.
func (s itemSource) first(n int64) itemSource {
	if n == 0 {
		return s
	}
	return func(yield func(mapItem, error) bool) {
		left := n
		for it, err := range s {
			if !yield(it, err) || err != nil {
				return
			}
			if left--; left == 0 {
				return
			}
		}
	}
}

func readerFailed(format string, args ...any) error {
	return &asl.Error{Name: asl.ErrItemReaderFailed, Cause: fmt.Sprintf(format, args...)}
}

// The actions by which an ItemReader gets at objects.
const (
	resourceGetObject   = "arn:aws:states:::s3:getObject"
	resourceListObjects = "arn:aws:states:::s3:listObjectsV2"
)

// reader makes the source that an ItemReader describes. params are its
// evaluated Parameters.
func (c *Coordinator) reader(ctx context.Context, r *asl.ItemReader, params value.Value, maxItems int64) (itemSource, error) {
	if c.objects == nil {
		return nil, readerFailed("This engine has no objects to read: set engine.embedded.objects in the configuration to a folder that holds them as BUCKET/KEY.")
	}
	if maxItems < 0 {
		return nil, readerFailed("field MaxItems must be positive")
	}
	bucket, err := asl.TextParameter(params, "Bucket", true)
	if err != nil {
		return nil, readerFailed("%v", err)
	}
	switch r.Resource {
	case resourceGetObject:
		key, err := asl.TextParameter(params, "Key", true)
		if err != nil {
			return nil, readerFailed("%v", err)
		}
		return c.objectSource(ctx, &r.Config, bucket, key).first(maxItems), nil
	case resourceListObjects:
		prefix, err := asl.TextParameter(params, "Prefix", false)
		if err != nil {
			return nil, readerFailed("%v", err)
		}
		return c.listSource(ctx, &r.Config, bucket, prefix).first(maxItems), nil
	default:
		return nil, readerFailed("The resource '%s' cannot read items: use %s or %s.", r.Resource, resourceGetObject, resourceListObjects)
	}
}

// objectSource gives the items in an object.
func (c *Coordinator) objectSource(ctx context.Context, config *asl.ReaderConfig, bucket, key string) itemSource {
	return func(yield func(mapItem, error) bool) {
		f, err := c.objects.Open(ctx, bucket, key)
		if err != nil {
			if errors.Is(err, fs.ErrNotExist) {
				err = readerFailed("The specified key does not exist: s3://%s/%s", bucket, key)
			} else {
				err = readerFailed("%v", err)
			}
			yield(mapItem{}, err)
			return
		}
		defer f.Close()
		var items itemSource
		switch config.InputType {
		case "JSON":
			items = jsonItems(f, config.ItemsPointer)
		case "JSONL":
			items = lineItems(f)
		case "CSV":
			items = csvItems(f, config)
		default:
			items = func(yield func(mapItem, error) bool) {
				yield(mapItem{}, fmt.Errorf("the InputType '%s' is not supported by this engine: use JSON, JSONL or CSV", config.InputType))
			}
		}
		for it, err := range items {
			if err == nil && ctx.Err() != nil {
				err = context.Cause(ctx)
			}
			var known *asl.Error
			if err != nil && ctx.Err() == nil && !errors.As(err, &known) {
				err = readerFailed("Cannot read items from s3://%s/%s: %v", bucket, key, err)
			}
			if !yield(it, err) || err != nil {
				return
			}
		}
	}
}

// listSource gives the objects themselves as items, or with LOAD_AND_FLATTEN
// the items in each of them.
func (c *Coordinator) listSource(ctx context.Context, config *asl.ReaderConfig, bucket, prefix string) itemSource {
	return func(yield func(mapItem, error) bool) {
		for o, err := range c.objects.List(ctx, bucket, prefix) {
			if err != nil {
				yield(mapItem{}, readerFailed("%v", err))
				return
			}
			if config.Transformation == "LOAD_AND_FLATTEN" {
				for it, err := range c.objectSource(ctx, config, bucket, o.Key) {
					if !yield(it, err) || err != nil {
						return
					}
				}
				continue
			}
			if !yield(mapItem{value: value.OfObject(
				value.Field{Key: "Etag", Value: value.OfString(`"` + o.ETag + `"`)},
				value.Field{Key: "Key", Value: value.OfString(o.Key)},
				value.Field{Key: "LastModified", Value: value.OfInt(o.Modified.Unix())},
				value.Field{Key: "Size", Value: value.OfInt(o.Size)},
				value.Field{Key: "StorageClass", Value: value.OfString("STANDARD")},
			)}, nil) {
				return
			}
		}
	}
}

func lineItems(r io.Reader) itemSource {
	return func(yield func(mapItem, error) bool) {
		lines := bufio.NewScanner(r)
		lines.Buffer(make([]byte, 0, readBuffer), maxItem)
		n := 0
		for lines.Scan() {
			n++
			text := bytes.TrimSpace(lines.Bytes())
			if len(text) == 0 {
				continue
			}
			v, err := value.Parse(text)
			if err != nil {
				err = fmt.Errorf("line %d: %w", n, err)
			}
			if !yield(mapItem{value: v}, err) || err != nil {
				return
			}
		}
		if err := lines.Err(); err != nil {
			if errors.Is(err, bufio.ErrTooLong) {
				err = fmt.Errorf("line %d is longer than %d bytes", n+1, maxItem)
			}
			yield(mapItem{}, err)
		}
	}
}

func csvItems(r io.Reader, config *asl.ReaderConfig) itemSource {
	return func(yield func(mapItem, error) bool) {
		fail := func(err error) {
			if !errors.Is(err, io.EOF) {
				yield(mapItem{}, err)
			}
		}
		in, err := newCSVReader(r, config.CSVDelimiter)
		if err != nil {
			fail(err)
			return
		}
		headers := config.CSVHeaders
		if config.CSVHeaderLocation != "GIVEN" {
			if headers, err = in.read(); err != nil {
				fail(err)
				return
			}
		} else if len(slices.Compact(slices.Sorted(slices.Values(headers)))) < len(headers) {
			fail(errors.New("CSV headers cannot contain duplicates.")) //nolint:staticcheck // AWS's sentence
			return
		}
		if n := len(strings.Join(headers, "")); n > maxHeaders {
			fail(fmt.Errorf("the headers take %d bytes, at most %d are allowed", n, maxHeaders))
			return
		}
		for {
			fields, err := in.read()
			if err != nil {
				fail(err)
				return
			}
			row := value.NewBuilder(len(headers))
			for i, name := range headers {
				text := ""
				if i < len(fields) {
					text = strings.ToValidUTF8(fields[i], "\ufffd")
				}
				row.Set(name, value.OfString(text))
			}
			if !yield(mapItem{value: row.Object()}, nil) {
				return
			}
		}
	}
}

// rationed fails when too much is read for one item.
type rationed struct {
	r    io.Reader
	left int
}

func (r *rationed) Read(p []byte) (int, error) {
	if r.left <= 0 {
		return 0, fmt.Errorf("an item is larger than %d bytes", maxItem)
	}
	n, err := r.r.Read(p[:min(len(p), r.left)])
	r.left -= n
	return n, err
}

// jsonItems gives the elements of the array, or the members of the object,
// that pointer (RFC 6901) leads to. What it passes by is not kept.
func jsonItems(r io.Reader, pointer string) itemSource {
	return func(yield func(mapItem, error) bool) {
		in := &rationed{r, maxItem}
		w := &jsonWalk{dec: json.NewDecoder(bufio.NewReaderSize(in, readBuffer)), ration: in}
		w.dec.UseNumber()
		if err := w.find(pointer); err != nil {
			yield(mapItem{}, err)
			return
		}
		w.items(yield)
	}
}

type jsonWalk struct {
	dec    *json.Decoder
	ration *rationed
}

func (w *jsonWalk) token() (json.Token, error) {
	w.ration.left = maxItem
	t, err := w.dec.Token()
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return t, err
}

var errNoSuchPointer = readerFailed("The provided ReaderConfig.ItemsPointer does not match any valid path in the JSON structure.")

// find goes to the value that pointer leads to.
func (w *jsonWalk) find(pointer string) error {
	for pointer != "" {
		rest, ok := strings.CutPrefix(pointer, "/")
		if !ok {
			return errNoSuchPointer
		}
		var step string
		step, pointer, ok = strings.Cut(rest, "/")
		if ok {
			pointer = "/" + pointer
		}
		step = strings.NewReplacer("~1", "/", "~0", "~").Replace(step)
		opened, err := w.token()
		if err != nil {
			return err
		}
		if opened != json.Delim('{') && opened != json.Delim('[') {
			return errNoSuchPointer
		}
		for n := 0; ; n++ {
			if !w.dec.More() {
				return errNoSuchPointer
			}
			name := strconv.Itoa(n)
			if opened == json.Delim('{') {
				key, err := w.token()
				if err != nil {
					return err
				}
				name, _ = key.(string)
			}
			if name == step {
				break
			}
			if err := w.skip(); err != nil {
				return err
			}
		}
	}
	return nil
}

// skip passes by a value.
func (w *jsonWalk) skip() error {
	for depth := 0; ; {
		t, err := w.token()
		if err != nil {
			return err
		}
		switch t {
		case json.Delim('{'), json.Delim('['):
			depth++
		case json.Delim('}'), json.Delim(']'):
			depth--
		}
		if depth == 0 {
			return nil
		}
	}
}

func (w *jsonWalk) items(yield func(mapItem, error) bool) {
	opened, err := w.token()
	if err == nil && opened != json.Delim('{') && opened != json.Delim('[') {
		err = readerFailed("Attempting to map over non-iterable node.")
	}
	if err != nil {
		yield(mapItem{}, err)
		return
	}
	for w.dec.More() {
		it := mapItem{keyed: opened == json.Delim('{')}
		if it.keyed {
			var key json.Token
			if key, err = w.token(); err == nil {
				it.key, _ = key.(string)
			}
		}
		var text json.RawMessage
		if err == nil {
			w.ration.left = maxItem
			err = w.dec.Decode(&text)
		}
		if err == nil {
			it.value, err = value.Parse(text)
		}
		if !yield(it, err) || err != nil {
			return
		}
	}
	if _, err := w.token(); err != nil {
		yield(mapItem{}, err)
	}
}

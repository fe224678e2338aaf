package distributed

import (
	"bufio"
	"errors"
	"fmt"
	"io"
)

// csvReader reads records as Step Functions does, which is not as RFC 4180
// has it: a backslash escapes, doubled quotation marks count outside of quoted
// fields too, and any number of fields will do.
// Source: developer guide, "How Step Functions parses input CSV files".
type csvReader struct {
	r     *bufio.Reader
	comma byte
	line  int
	field []byte
}

func newCSVReader(r io.Reader, delimiter string) (*csvReader, error) {
	comma, ok := map[string]byte{"": ',', "COMMA": ',', "PIPE": '|', "SEMICOLON": ';', "SPACE": ' ', "TAB": '\t'}[delimiter]
	if !ok {
		return nil, fmt.Errorf("unknown CSVDelimiter %q", delimiter)
	}
	c := &csvReader{r: bufio.NewReaderSize(r, readBuffer), comma: comma, line: 1}
	if mark, err := c.r.Peek(3); err == nil && string(mark) == "\xef\xbb\xbf" {
		_, _ = c.r.Discard(len(mark))
	}
	return c, nil
}

// read gives the fields of the next record that is not an empty line; io.EOF
// after the last.
func (c *csvReader) read() ([]string, error) {
	for {
		fields, err := c.record()
		if err != nil || len(fields) != 1 || fields[0] != "" {
			return fields, err
		}
	}
}

func (c *csvReader) record() (fields []string, err error) {
	if _, err := c.r.Peek(1); err != nil {
		return nil, err
	}
	start, size := c.line, 0
	for {
		last, err := c.oneField(&size)
		switch {
		case errors.Is(err, errItemTooLarge):
			return nil, fmt.Errorf("the record on line %d is larger than %d bytes", start, maxItem)
		case errors.Is(err, io.ErrUnexpectedEOF):
			return nil, fmt.Errorf("the record on line %d has a quotation mark that is not closed", start)
		case err != nil:
			return nil, err
		}
		fields = append(fields, string(c.field))
		if last {
			return fields, nil
		}
	}
}

// oneField reads a field into c.field, and tells whether the record ends
// with it.
func (c *csvReader) oneField(size *int) (last bool, err error) {
	c.field = c.field[:0]
	quoted, begun := false, false
	for {
		b, err := c.r.ReadByte()
		if err == io.EOF {
			if quoted {
				return false, io.ErrUnexpectedEOF
			}
			return true, nil
		}
		if err != nil {
			return false, err
		}
		if *size++; *size > maxItem {
			return false, errItemTooLarge
		}
		switch {
		case b == '"':
			switch {
			case !begun:
				quoted = true
			case c.next('"'):
				c.field = append(c.field, '"')
			case quoted:
				quoted = false
			default:
				c.field = append(c.field, '"')
			}
		case b == '\\':
			// It keeps what is special from being so, and is dropped before
			// anything else.
			switch {
			case c.next('\\'):
				c.field = append(c.field, '\\')
			case c.next('"'):
				c.field = append(c.field, '"')
			case c.next(c.comma):
				c.field = append(c.field, c.comma)
			}
		case b == c.comma && !quoted:
			return false, nil
		case b == '\n':
			c.line++
			if !quoted {
				return true, nil
			}
			c.field = append(c.field, b)
		case b == '\r' && !quoted && c.next('\n'):
			c.line++
			return true, nil
		default:
			c.field = append(c.field, b)
		}
		begun = true
	}
}

// next takes the next byte if it is b.
func (c *csvReader) next(b byte) bool {
	p, err := c.r.Peek(1)
	if err != nil || p[0] != b {
		return false
	}
	_, _ = c.r.Discard(1) // it has been peeked at
	return true
}

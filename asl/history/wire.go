package history

import "encoding/binary"

// AppendText writes a text as [Decoder.Text] reads it; the numbers before and
// after it are package binary's.
func AppendText(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

// Decoder reads numbers and texts that were appended to bytes one after the
// other. After the first thing that can't be read Bad is true and everything
// reads as zero.
type Decoder struct {
	Bad bool
	b   []byte
	i   int
}

// NewDecoder returns a decoder at the beginning of b.
func NewDecoder(b []byte) Decoder { return Decoder{b: b} }

// Byte reads one byte.
func (d *Decoder) Byte() byte {
	if d.Bad || d.i >= len(d.b) {
		d.Bad = true
		return 0
	}
	d.i++
	return d.b[d.i-1]
}

// Int reads an unsigned varint.
func (d *Decoder) Int() int64 {
	if d.Bad {
		return 0
	}
	v, n := binary.Uvarint(d.b[d.i:])
	if n <= 0 {
		d.Bad = true
		return 0
	}
	d.i += n
	return int64(v)
}

// Varint reads a signed one.
func (d *Decoder) Varint() int64 {
	if d.Bad {
		return 0
	}
	v, n := binary.Varint(d.b[d.i:])
	if n <= 0 {
		d.Bad = true
		return 0
	}
	d.i += n
	return v
}

// Count reads the length of a list; no list is longer than the bytes left.
func (d *Decoder) Count() int {
	n := d.Int()
	if n < 0 || n > int64(len(d.b)-d.i) {
		d.Bad = true
		return 0
	}
	return int(n)
}

// Text reads a text.
func (d *Decoder) Text() string {
	n := d.Count()
	if d.Bad {
		return ""
	}
	s := string(d.b[d.i : d.i+n])
	d.i += n
	return s
}

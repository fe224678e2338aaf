package graph

import (
	"fmt"

	"switchyard/asl"
)

// shape draws a state's outline: each type has its own.
func (w *svgWriter) shape(it *item) {
	x, y, r, b := it.left(), it.y, it.right(), it.bottom()
	width, height := it.width, it.height
	outline := func(format string, args ...any) {
		w.put(`<path class="shape" d="%s"/>`, fmt.Sprintf(format, args...))
	}
	box := func(width, height, radius int) {
		w.put(`<rect class="shape" x="%d" y="%d" width="%d" height="%d" rx="%d"/>`, x, y, width, height, radius)
	}
	switch it.state.Type {
	case asl.TypeTask:
		box(width, height, 6)
		w.put(`<path class="stripe" d="M%d %dV%d"/>`, x+5, y+6, b-6)
	case asl.TypePass: // a sheet with its corner folded
		outline("M%d %dH%dL%d %dV%dH%dz", x, y, r-12, r, y+12, b, x)
		w.put(`<path class="detail" d="M%d %dV%dH%d"/>`, r-12, y, y+12, r)
	case asl.TypeChoice:
		m := y + height/2
		outline("M%d %dL%d %dH%dL%d %dL%d %dH%dz", x, m, x+14, y, r-14, r, m, r-14, b, x+14)
	case asl.TypeWait: // the flowcharts' delay
		outline("M%d %dH%da18 %d 0 0 1 0 %dH%da4 4 0 0 1-4-4V%da4 4 0 0 1 4-4z", x+4, y, r-18, height/2, height, x+4, y+4)
	case asl.TypeSucceed:
		box(width, height, height/2)
		w.put(`<rect class="detail" x="%d" y="%d" width="%d" height="%d" rx="%d"/>`, x+4, y+4, width-8, height-8, height/2-4)
	case asl.TypeFail:
		outline("M%d %dH%dL%d %dV%dL%d %dH%dL%d %dV%dz", x+12, y, r-12, r, y+12, b-12, r-12, b, x+12, x, b-12, y+12)
	case asl.TypeParallel:
		box(width, height, 10)
		w.put(`<path class="detail" d="M%d %dV%dM%d %[2]dV%[3]d"/>`, x+6, y+10, y+headHeight-10, r-6)
	case asl.TypeMap: // a pile
		w.put(`<path class="detail" d="M%d %dH%da8 8 0 0 0 8-8V%d"/>`, x+12, b, r-8, y+12)
		w.put(`<path class="detail" d="M%d %dH%da8 8 0 0 0 8-8V%d"/>`, x+9, b-3, r-11, y+9)
		box(width-6, height-6, 10)
	}
}

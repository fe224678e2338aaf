package dashboard

// The rail is the drawing to the left of the rows: a line for each track, from its
// newest commit on the page to its oldest, with a signal where the commit is.
const (
	laneWidth = 18
	// maxLanes is how many tracks lie side by side; more share the last one.
	maxLanes = 8
	// laneTints is how many colours the lines have.
	laneTints = 6
)

// rail is how wide the drawing is, in lanes.
type rail struct{ Lanes int }

// Width is in pixels.
func (r rail) Width() int { return r.Lanes*laneWidth + 4 }

// line is what one row shows of a lane.
type line struct {
	X int
	// From and To are where it begins and ends in the row's height.
	From, To string
	Tint     int
}

// railRow is the drawing of one row.
type railRow struct {
	Width, X int
	Lines    []line
}

// layRail gives each track a lane that is free from its newest to its oldest row.
func layRail(rows []*row) rail {
	last := map[track]int{}
	for i, r := range rows {
		last[r.track] = i
	}
	lane := map[track]int{}
	var busyUntil []int // by lane: the last row of the track that has it
	for i, r := range rows {
		if _, ok := lane[r.track]; !ok {
			at := 0
			for at < len(busyUntil) && busyUntil[at] >= i {
				at++
			}
			switch {
			case at < len(busyUntil):
				busyUntil[at] = last[r.track]
			case at < maxLanes:
				busyUntil = append(busyUntil, last[r.track])
			default:
				at = maxLanes - 1
				busyUntil[at] = max(busyUntil[at], last[r.track])
			}
			lane[r.track] = at
		}
		r.Lane = lane[r.track]
	}
	for i, r := range rows {
		r.Rail = drawRow(rows, i, lane, last, len(busyUntil))
	}
	return rail{max(1, len(busyUntil))}
}

func laneX(lane int) int { return lane*laneWidth + laneWidth/2 + 2 }

// drawRow draws the lines that pass row i.
func drawRow(rows []*row, i int, lane, last map[track]int, lanes int) railRow {
	d := railRow{Width: rail{max(1, lanes)}.Width(), X: laneX(rows[i].Lane)}
	drawn := map[track]bool{}
	for j, r := range rows {
		if drawn[r.track] || last[r.track] < i || j > i {
			continue // it ends above, begins below, or was drawn
		}
		drawn[r.track] = true
		l := line{X: laneX(lane[r.track]), From: "0%", To: "100%", Tint: lane[r.track] % laneTints}
		if j == i {
			l.From = "50%"
		}
		if last[r.track] == i {
			l.To = "50%"
		}
		if l.From != l.To {
			d.Lines = append(d.Lines, l)
		}
	}
	return d
}

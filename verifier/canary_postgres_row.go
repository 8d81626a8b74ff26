package verifier

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"math"
)

// walPosition is, as an insert returns it, the WAL position behind the row: its commit record follows there. The first
// eight digits are the timeline.
const walPosition = " returning left(pg_walfile_name(pg_current_wal_insert_lsn()), 8) || ':' || pg_current_wal_insert_lsn()"

// columns are those of the table; it makes the insert as well.
func (p *pgStore) columns(ctx context.Context, link *pgLink) (string, error) {
	columns := "id bigint primary key, sent timestamptz not null, sent_ns bigint not null, sha text not null"
	names, values := "id, sent, sent_ns, sha", "$1, to_timestamp($2::float8), $3, $4"
	if p.spec.Geometry {
		var there bool
		if err := link.QueryRow(ctx, "select to_regtype('geometry') is not null").Scan(&there); err != nil {
			return "", err
		}
		if !there {
			return "", errors.New("geometry: true, but there is no PostGIS in this database (or not in the search_path of this user)")
		}
		columns += ", geom geometry(Point, 4326) not null"
		names, values = names+", geom", values+", $5::text::geometry"
	}
	p.insert = "insert into " + p.table + " (" + names + ") values (" + values + ")"
	var position string
	err := link.QueryRow(ctx, "select pg_walfile_name(pg_current_wal_insert_lsn())").Scan(&position)
	if p.wal = err == nil; p.wal { // what may not be asked, or is not PostgreSQL's own WAL, is left out
		p.insert += walPosition
	}
	return columns, nil
}

// wgs84 is the SRID of longitude and latitude.
const wgs84 = 4326

// pointOf is the point that goes with a number, as hexadecimal EWKB (little-endian, with SRID). The first 64,800 points
// all differ.
func pointOf(seq int64) string {
	const pointWithSRID = 0x20000001
	b := []byte{1} // little-endian
	b = binary.LittleEndian.AppendUint32(b, pointWithSRID)
	b = binary.LittleEndian.AppendUint32(b, wgs84)
	for _, x := range []float64{float64(seq%360 - 180), float64(seq/360%180 - 90)} {
		b = binary.LittleEndian.AppendUint64(b, math.Float64bits(x))
	}
	return hex.EncodeToString(b)
}

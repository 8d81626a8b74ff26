package store

import (
	"context"
	"net/http"
	"time"

	"github.com/eevans-d/simulacro/compose/grupogad/api/apierr"
	"github.com/jackc/pgx/v5"
)

// Task is a row of tareas, with GRUPO_GAD's names.
type Task struct {
	ID          int        `json:"id" db:"id"`
	UUID        string     `json:"uuid" db:"uuid"`
	Codigo      string     `json:"codigo" db:"codigo"`
	Titulo      string     `json:"titulo" db:"titulo"`
	Descripcion *string    `json:"descripcion" db:"descripcion"`
	Estado      string     `json:"estado" db:"estado"`
	Tipo        string     `json:"tipo" db:"tipo"`
	Prioridad   int        `json:"prioridad" db:"prioridad"`
	Delegado    int        `json:"delegado_usuario_id" db:"delegado_usuario_id"`
	CreadoPor   int        `json:"creado_por_usuario_id" db:"creado_por_usuario_id"`
	Inicio      time.Time  `json:"inicio_programado" db:"inicio_programado"`
	Fin         *time.Time `json:"fin_programado" db:"fin_programado"`
}

// TaskInput creates a task (nil means the default) or changes one (nil means unchanged).
type TaskInput struct {
	Codigo      *string    `json:"codigo"`
	Titulo      *string    `json:"titulo"`
	Descripcion *string    `json:"descripcion"`
	Estado      *string    `json:"estado"`
	Tipo        *string    `json:"tipo"`
	Prioridad   *int       `json:"prioridad"`
	Delegado    *int       `json:"delegado_usuario_id"`
	CreadoPor   *int       `json:"creado_por_usuario_id"`
	Inicio      *time.Time `json:"inicio_programado"`
	Fin         *time.Time `json:"fin_programado"`
}

const taskColumns = `id, uuid::text, codigo, titulo, descripcion, estado, tipo, prioridad,
	delegado_usuario_id, creado_por_usuario_id, inicio_programado, fin_programado`

// Tasks lists tasks by id.
func (s *Store) Tasks(ctx context.Context, skip, limit int) ([]Task, error) {
	var out []Task
	err := s.query(ctx, "tasks_list", func(ctx context.Context) error {
		rows, err := s.pool.Query(ctx, "SELECT "+taskColumns+" FROM tareas ORDER BY id OFFSET $1 LIMIT $2", skip, limit)
		if err != nil {
			return err
		}
		out, err = pgx.CollectRows(rows, pgx.RowToStructByName[Task])
		return err
	})
	return out, err
}

// Task reads one task; a missing one is a 404.
func (s *Store) Task(ctx context.Context, id int) (Task, error) {
	return s.oneTask(ctx, "task_get", "SELECT "+taskColumns+" FROM tareas WHERE id = $1", id)
}

// TaskByCode reads one task by its code; a missing one is a 404.
func (s *Store) TaskByCode(ctx context.Context, codigo string) (Task, error) {
	return s.oneTask(ctx, "task_by_code", "SELECT "+taskColumns+" FROM tareas WHERE codigo = $1", codigo)
}

// RecentTasks lists the newest tasks, newest first.
func (s *Store) RecentTasks(ctx context.Context, limit int) ([]Task, error) {
	var out []Task
	err := s.query(ctx, "tasks_recent", func(ctx context.Context) error {
		rows, err := s.pool.Query(ctx, "SELECT "+taskColumns+" FROM tareas ORDER BY id DESC LIMIT $1", limit)
		if err != nil {
			return err
		}
		out, err = pgx.CollectRows(rows, pgx.RowToStructByName[Task])
		return err
	})
	return out, err
}

// CreateTask inserts a task; a codigo that exists is a 400.
func (s *Store) CreateTask(ctx context.Context, in TaskInput) (Task, error) {
	return s.oneTask(ctx, "task_create", `INSERT INTO tareas
		(codigo, titulo, descripcion, tipo, prioridad, estado, delegado_usuario_id, creado_por_usuario_id, inicio_programado, fin_programado)
		VALUES ($1, $2, $3, $4, COALESCE($5, 2), COALESCE($6, 'programada'), $7, $8, COALESCE($9, now()), $10) RETURNING `+taskColumns,
		in.Codigo, in.Titulo, in.Descripcion, in.Tipo, in.Prioridad, in.Estado, in.Delegado, in.CreadoPor, in.Inicio, in.Fin)
}

// UpdateTask changes what in has and leaves the rest.
func (s *Store) UpdateTask(ctx context.Context, id int, in TaskInput) (Task, error) {
	return s.oneTask(ctx, "task_update", `UPDATE tareas SET codigo = COALESCE($2, codigo), titulo = COALESCE($3, titulo),
		descripcion = COALESCE($4, descripcion), tipo = COALESCE($5, tipo), prioridad = COALESCE($6, prioridad), estado = COALESCE($7, estado),
		delegado_usuario_id = COALESCE($8, delegado_usuario_id), creado_por_usuario_id = COALESCE($9, creado_por_usuario_id),
		inicio_programado = COALESCE($10, inicio_programado), fin_programado = COALESCE($11, fin_programado)
		WHERE id = $1 RETURNING `+taskColumns,
		id, in.Codigo, in.Titulo, in.Descripcion, in.Tipo, in.Prioridad, in.Estado, in.Delegado, in.CreadoPor, in.Inicio, in.Fin)
}

// DeleteTask removes a task and returns what it was.
func (s *Store) DeleteTask(ctx context.Context, id int) (Task, error) {
	return s.oneTask(ctx, "task_delete", "DELETE FROM tareas WHERE id = $1 RETURNING "+taskColumns, id)
}

func (s *Store) oneTask(ctx context.Context, name, sql string, args ...any) (Task, error) {
	var t Task
	err := s.query(ctx, name, func(ctx context.Context) error {
		rows, err := s.pool.Query(ctx, sql, args...)
		if err != nil {
			return err
		}
		t, err = pgx.CollectExactlyOneRow(rows, pgx.RowToStructByName[Task])
		return err
	})
	var e *apierr.Error
	if asNotFound(err, &e) {
		e.Detail = "The task with this id does not exist in the system"
	}
	return t, err
}

func asNotFound(err error, e **apierr.Error) bool {
	got, ok := err.(*apierr.Error) //nolint:errorlint // query returns it bare
	*e = got
	return ok && got.Status == http.StatusNotFound
}

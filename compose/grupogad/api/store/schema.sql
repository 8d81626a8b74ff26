CREATE TABLE IF NOT EXISTS usuarios (
  id serial PRIMARY KEY,
  uuid uuid NOT NULL UNIQUE DEFAULT gen_random_uuid(),
  email text NOT NULL UNIQUE,
  nombre text NOT NULL,
  apellido text NOT NULL,
  telegram_id bigint UNIQUE,
  nivel text NOT NULL DEFAULT 'LEVEL_1' CHECK (nivel IN ('LEVEL_1', 'LEVEL_2', 'LEVEL_3')),
  hashed_password text NOT NULL DEFAULT '!',
  verificado boolean NOT NULL DEFAULT true,
  created_at timestamptz NOT NULL DEFAULT now()
);
CREATE TABLE IF NOT EXISTS efectivos (
  id serial PRIMARY KEY,
  uuid uuid NOT NULL UNIQUE DEFAULT gen_random_uuid(),
  usuario_id int NOT NULL UNIQUE REFERENCES usuarios (id),
  codigo_interno text NOT NULL UNIQUE,
  unidad text NOT NULL,
  estado_disponibilidad text NOT NULL DEFAULT 'DISPONIBLE'
    CHECK (estado_disponibilidad IN ('DISPONIBLE', 'EN_TAREA', 'FUERA_SERVICIO', 'NO_DISPONIBLE')),
  geom geography(POINT, 4326),
  deleted_at timestamptz
);
CREATE INDEX IF NOT EXISTS ix_efectivos_geom_gist ON efectivos USING gist (geom);
CREATE TABLE IF NOT EXISTS tareas (
  id serial PRIMARY KEY,
  uuid uuid NOT NULL UNIQUE DEFAULT gen_random_uuid(),
  codigo varchar(50) NOT NULL UNIQUE,
  titulo varchar(200) NOT NULL,
  descripcion text,
  tipo text NOT NULL CHECK (tipo IN ('PATRULLAJE', 'INVESTIGACION', 'VIGILANCIA', 'INTERVENCION', 'ADMINISTRATIVA', 'ENTRENAMIENTO')),
  prioridad int NOT NULL DEFAULT 2 CHECK (prioridad BETWEEN 1 AND 5),
  estado text NOT NULL DEFAULT 'programada' CHECK (estado IN ('programada', 'en_curso', 'finalizada', 'cancelada', 'pausada')),
  delegado_usuario_id int NOT NULL REFERENCES usuarios (id),
  creado_por_usuario_id int NOT NULL REFERENCES usuarios (id),
  inicio_programado timestamptz NOT NULL,
  fin_programado timestamptz,
  created_at timestamptz NOT NULL DEFAULT now(),
  CONSTRAINT fin_after_inicio CHECK (fin_programado > inicio_programado)
);
CREATE INDEX IF NOT EXISTS idx_tareas_delegado_estado_created ON tareas (delegado_usuario_id, estado, created_at);
